"""The zoo: every policy learns from the same demonstrations on the same budget and is judged on the same seeds.

`protocol` says what is learnt and judged, `bench` does it for one policy, `rows` reads the results and says which
policies learn, `page` makes docs/zoo.md from them. The one thing to watch: the budget is processor time of one core,
so a design that computes more a sample sees fewer samples; both numbers stand in every result.
"""
