%% @doc The order within the pairs of a replay. Pure.
-module(router_bench_pairs).

-export([frozen_first/2]).

%% @doc For each pair, whether the frozen side is measured before the candidate.
%%
%% Of each two pairs in turn, one is measured in either order, and the seed decides which: whatever
%% drifts hits both sides alike, and no periodic disturbance can always hit the same one.
-spec frozen_first(Seed :: non_neg_integer(), Pairs :: pos_integer()) -> [boolean()].
frozen_first(Seed, Pairs) ->
    lists:sublist(blocks((Pairs + 1) div 2, rand:seed_s(exsss, Seed)), Pairs).

blocks(0, _State) ->
    [];
blocks(Blocks, State) ->
    {Draw, Next} = rand:uniform_s(2, State),
    [Draw =:= 1, Draw =/= 1 | blocks(Blocks - 1, Next)].
