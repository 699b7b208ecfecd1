from modelhall.core import program
from modelhall.stages.evaluate import carry_out

program.main(carry_out)
