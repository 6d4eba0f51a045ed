%% @doc Who comes first of sides that are measured in turn: at booting, and slice by slice. Pure; the seed
%% decides.
%%
%% Sides are numbered from 1. Which side is which is drawn for each block, independent of all others (of the
%% two sides of a replay by a fair coin): it decides who boots first and turns the order of all slices with
%% it. So whatever favours the one that boots first, or the one whose slice comes first, favours each side
%% alike, and without a change the sign of a block's difference is a coin too.
%% @private
-module(router_bench_orders).

-export([boots/3, turns/5]).

-type order() :: [Side :: pos_integer()].

%% @doc The order in which a block's BEAMs are started.
-spec boots(Seed :: non_neg_integer(), Block :: pos_integer(), Sides :: pos_integer()) -> order().
boots(Seed, Block, Sides) ->
    {Order, _State} = drawn(lists:seq(1, Sides), rand:seed_s(exsss, {Seed, Block, 0})),
    Order.

%% @doc For each slice of a loop, the order in which the sides are measured.
%%
%% Of as many slices in turn as there are sides, each side has each place once: whatever drifts hits all
%% sides alike, and no periodic disturbance can always hit the same one.
-spec turns(Seed :: non_neg_integer(), Block :: pos_integer(), closed | open,
            Slices :: pos_integer(), Sides :: pos_integer()) -> [order()].
turns(Seed, Block, Loop, Slices, Sides) ->
    Place = case Loop of closed -> 1; open -> 2 end,
    Numbered = boots(Seed, Block, Sides),
    Rounds = (Slices + Sides - 1) div Sides,
    Drawn = rounds(Rounds, lists:seq(1, Sides), rand:seed_s(exsss, {Seed, Block, Place})),
    [[lists:nth(Number, Numbered) || Number <- Order] || Order <- lists:sublist(Drawn, Slices)].

rounds(0, _Sides, _State) ->
    [];
rounds(Left, Sides, State) ->
    {Order, Next} = drawn(Sides, State),
    rotations(length(Order), Order) ++ rounds(Left - 1, Sides, Next).

rotations(0, _Order) -> [];
rotations(Left, [First | Rest] = Order) -> [Order | rotations(Left - 1, Rest ++ [First])].

%% Each order as likely as any other.
drawn([Last], State) ->
    {[Last], State};
drawn(Sides, State) ->
    {Draw, Next} = rand:uniform_s(length(Sides), State),
    First = lists:nth(Draw, Sides),
    {Order, After} = drawn(lists:delete(First, Sides), Next),
    {[First | Order], After}.
