from modelhall.core.program import main
from modelhall.stages.search import carry_out

main(carry_out)
