from modelhall.core import program
from modelhall.serving.replica import carry_out

program.main(carry_out)
