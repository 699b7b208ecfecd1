from modelhall.core import program
from modelhall.stages.train import carry_out

program.main(carry_out)
