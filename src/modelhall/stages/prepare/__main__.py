from modelhall.core import program
from modelhall.stages.prepare import carry_out

program.main(carry_out)
