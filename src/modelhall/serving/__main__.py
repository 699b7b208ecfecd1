from modelhall.core import program
from modelhall.serving import carry_out

program.main(carry_out)
