from modelhall.core import program
from modelhall.stages.compress import carry_out

program.main(carry_out)
