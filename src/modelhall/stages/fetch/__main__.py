from modelhall.core import program
from modelhall.stages.fetch import carry_out

program.main(carry_out)
