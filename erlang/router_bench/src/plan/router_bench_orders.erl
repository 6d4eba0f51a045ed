%% @doc Who comes first in a replay: at booting, and slice by slice. Pure; the seed decides.
%%
%% Which side is which is a fair coin for each block, independent of all others: it decides who boots
%% first and turns the order of all slices with it. So whatever favours the one that boots first, or
%% the one whose slice comes first, favours either side alike, and without a change the sign of a
%% block's difference is a coin too.
%% @private
-module(router_bench_orders).

-export([frozen_boots_first/2, frozen_goes_first/4]).

%% @doc Whether the frozen side's BEAM is started first in a block.
-spec frozen_boots_first(Seed :: non_neg_integer(), Block :: pos_integer()) -> boolean().
frozen_boots_first(Seed, Block) ->
    {Draw, _State} = rand:uniform_s(2, rand:seed_s(exsss, {Seed, Block, 0})),
    Draw =:= 1.

%% @doc For each slice of a loop, whether the frozen side comes before the candidate.
%%
%% Of each two slices in turn, one is measured in either order: whatever drifts hits both sides
%% alike, and no periodic disturbance can always hit the same one.
-spec frozen_goes_first(Seed :: non_neg_integer(), Block :: pos_integer(), closed | open,
                        Slices :: pos_integer()) -> [boolean()].
frozen_goes_first(Seed, Block, Loop, Slices) ->
    Place = case Loop of closed -> 1; open -> 2 end,
    Turned = frozen_boots_first(Seed, Block),
    Drawn = twos((Slices + 1) div 2, rand:seed_s(exsss, {Seed, Block, Place})),
    [First =:= Turned || First <- lists:sublist(Drawn, Slices)].

twos(0, _State) ->
    [];
twos(Left, State) ->
    {Draw, Next} = rand:uniform_s(2, State),
    [Draw =:= 1, Draw =/= 1 | twos(Left - 1, Next)].
