%% @doc A block: a fresh BEAM for each side, both alive, warmed up, measured in turn, slice by slice.
%%
%% First the closed loop's slices, then the open loop's, then an outage where one is asked for. Of each slice
%% all sides are measured one after the other, in an order that the seed decides
%% ({@link router_bench_orders}); while one is measured, nothing of the bench runs in another's BEAM. A
%% replay has two sides, a measurement of variants one for each; else there is one, and its slices follow
%% each other.
%%
%% A router that cannot live twice on one machine has an adapter that says so (`lives_twice/0'): its
%% sides are booted, measured and stopped one after the other.
%% @private
-module(router_bench_block).

-export([run/4, load/4, alive_together/1]).

-export_type([role/0, side/0, results/0, tell/0, ask/0]).

-type role() :: frozen | candidate | {variant, Option :: binary(), router_bench_plan:value()}.
-type side() :: #{role := role(), plan := router_bench_plan:plan(),
                  code := router_bench_frozen:code(), atom() => term()}.
-type results() :: #{role() => #{result := router_bench_side:result(), booted_first := boolean(),
                                 went_first := #{closed | open => [boolean()]}}}.
%% Told what begins.
-type tell() :: fun((router_bench_progress:activity()) -> ok).
%% Asked before a load begins, by operating system process, and when it has ended.
-type ask() :: fun(({warm, #{role() => OsPid :: string()}} | loaded) -> go_on | stop).

%% An open-loop slice is as long as that many arrivals take: a p99 of fewer is that of a few requests.
-define(ARRIVALS_OF_A_SLICE, 1000).

%% @doc Whether several sides of a router may be alive at once.
-spec alive_together(module()) -> boolean().
alive_together(Adapter) ->
    not erlang:function_exported(Adapter, lives_twice, 0) orelse Adapter:lives_twice() =/= false.

%% @doc Measures block number `N' of a run until a deadline of `erlang:monotonic_time(millisecond)'.
-spec run([side(), ...], N :: pos_integer(), DeadlineMs :: integer(), tell()) ->
          {ok, results()} | {error, role(), Reason :: term()}.
run([#{plan := #{seed := Seed}} | _] = Sides, N, DeadlineMs, Tell) ->
    Numbered = numbered(Sides),
    Ordered = in_order(router_bench_orders:boots(Seed, N, length(Sides)), Numbered),
    ok = router_bench_glance:block(N),
    Measured = conducted(Ordered, DeadlineMs, Tell,
                         fun(Booted) -> measured(Booted, N, DeadlineMs, Tell) end),
    ok = router_bench_glance:tell(#{phase => between_blocks, peer => none}),
    case Measured of
        {ok, Results} -> {ok, maps:from_list([with_orders(Side, Result, Ordered, N)
                                              || {Role, Result} <- Results,
                                                 #{role := R} = Side <- Numbered, R =:= Role])};
        {error, Role, Reason} -> {error, Role, Reason}
    end.

%% By which a side is known in an order, whatever it is; of so many.
numbered(Sides) ->
    Count = length(Sides),
    [Side#{number => Number, of_sides => Count}
     || {Number, Side} <- lists:zip(lists:seq(1, Count), Sides)].

in_order(Order, Sides) ->
    [Side || Number <- Order, #{number := N} = Side <- Sides, N =:= Number].

with_orders(#{role := Role, number := Number, of_sides := Count, plan := #{seed := Seed} = Plan}, Result,
            [#{role := First} | _], N) ->
    WentFirst = maps:from_list(
                  [{Loop, [hd(Order) =:= Number
                           || Order <- router_bench_orders:turns(Seed, N, Loop,
                                                                 length(slices(Loop, Plan)), Count)]}
                   || Loop <- [closed, open]]),
    {Role, #{result => Result, booted_first => Role =:= First, went_first => WentFirst}}.

%% @doc Puts the sides under the load of their closed loop, in turn and slice by slice, for somebody who
%% looks at their BEAMs from outside, and gives the requests that each was sent meanwhile.
-spec load([side(), ...], DeadlineMs :: integer(), tell(), ask()) ->
          {ok, #{role() => Requests :: non_neg_integer()}} | {error, role(), Reason :: term()}.
load(Sides, DeadlineMs, Tell, Ask) ->
    case conducted(numbered(Sides), DeadlineMs, Tell, fun(Booted) -> loaded(Booted, DeadlineMs, Tell, Ask) end) of
        {ok, Requests} -> {ok, maps:from_list(Requests)};
        {error, Role, Reason} -> {error, Role, Reason}
    end.

%% Boots the sides, does `Work' with them and sees them go: all at once, or one after the other.
conducted([#{plan := #{adapter := Adapter}} | _] = Sides, DeadlineMs, Tell, Work) ->
    case alive_together(Adapter) of
        true -> together(Sides, DeadlineMs, Tell, Work);
        false -> apart(Sides, DeadlineMs, Tell, Work)
    end.

apart(Sides, DeadlineMs, Tell, Work) ->
    each(fun(Side) ->
                 case together([Side], DeadlineMs, Tell, Work) of
                     {ok, [{_Role, Result}]} -> {ok, Result};
                     {error, _Role, Reason} -> {error, Reason}
                 end
         end, Sides).

%% Boots the drivers, if there are any, and one side after the other, and whatever happens then sees all of
%% them go.
together([#{role := First, plan := Plan} | _] = Sides, DeadlineMs, Tell, Work) ->
    ok = Tell(boot),
    Done = router_bench_drivers:during(Plan, DeadlineMs, fun(Drivers) ->
        {done, together(Sides, Drivers, DeadlineMs, Tell, Work, [])}
    end),
    case Done of
        {done, Answer} -> Answer;
        {error, Reason} -> {error, First, Reason}
    end.

together([], _Drivers, _DeadlineMs, _Tell, Work, Booted) ->
    Work(lists:reverse(Booted));
together([#{role := Role, plan := Plan, code := Code} = Side | Rest], Drivers, DeadlineMs, Tell, Work, Booted) ->
    ok = router_bench_glance:tell(#{phase => boot, role => Role, peer => none}),
    case router_bench_team:start(Plan#{instance := length(Booted) + 1}, Code, Drivers, DeadlineMs) of
        {ok, Team} ->
            try
                Up = Side#{team => Team},
                ok = told(Up, start),
                case router_bench_team:begin_side(Team, DeadlineMs) of
                    ok -> together(Rest, Drivers, DeadlineMs, Tell, Work, [Up | Booted]);
                    {error, Reason} -> {error, Role, Reason}
                end
            after router_bench_team:stop(Team)
            end;
        {error, Reason} ->
            {error, Role, Reason}
    end.

measured(Sides, N, DeadlineMs, Tell) ->
    InTurn = fun(Loop) -> in_turn(Loop, Sides, N, DeadlineMs) end,
    steps([fun() -> ok = Tell(Activity), Step() end
           || {Activity, Step} <- [{warm_up, fun() -> all(warm_up, Sides, DeadlineMs) end},
                                   {closed_loop, fun() -> InTurn(closed) end},
                                   {open_loop, fun() -> InTurn(open) end}
                                   | [{recovery, fun() -> all(recover, Sides, DeadlineMs) end}
                                      || has_outage(Sides)]]],
          fun() -> ok = Tell(stop), all(finish, Sides, DeadlineMs) end).

has_outage([#{plan := #{outage_ms := OutageMs}} | _]) -> OutageMs =/= none.

%% Whoever looks on sees nothing but the load: nobody is stopped before it has looked away.
loaded([#{role := First} | _] = Sides, DeadlineMs, Tell, Ask) ->
    OsPids = maps:from_list([{Role, router_bench_place:os_pid(router_bench_team:place(Team))}
                             || #{role := Role, team := Team} <- Sides]),
    Asked = fun(What) ->
                    case Ask(What) of
                        go_on -> {ok, []};
                        stop -> {error, First, stopped}
                    end
            end,
    steps([fun() -> ok = Tell(warm_up), all(warm_up, Sides, DeadlineMs) end,
           fun() -> Asked({warm, OsPids}) end,
           fun() -> ok = Tell(closed_loop), in_turn(closed, Sides, 1, DeadlineMs) end,
           fun() -> Asked(loaded) end],
          fun() -> ok = Tell(stop), all(unload, Sides, DeadlineMs) end).

all(Function, Sides, DeadlineMs) ->
    each(fun(Side) -> call(Side, Function, [], DeadlineMs) end, Sides).

steps([], Last) ->
    Last();
steps([Step | Rest], Last) ->
    case Step() of
        {ok, _} -> steps(Rest, Last);
        {error, Role, Reason} -> {error, Role, Reason}
    end.

in_turn(Loop, [#{of_sides := Of, plan := #{seed := Seed} = Plan} | _] = Sides, N, DeadlineMs) ->
    Durations = slices(Loop, Plan),
    Count = length(Durations),
    Turns = router_bench_orders:turns(Seed, N, Loop, Count, Of),
    steps([fun() ->
                   ok = router_bench_glance:tell(#{slice => {Slice, Count}}),
                   each(fun(Side) -> call(Side, slice, [Loop, DurationMs], DeadlineMs) end,
                        in_order(Order, Sides))
           end || {Slice, DurationMs, Order} <- lists:zip3(lists:seq(1, Count), Durations, Turns)],
          fun() -> {ok, []} end).

%% The lengths of a loop's slices: equal but for a millisecond, and together as long as the plan says.
slices(closed, #{throughput_ms := TotalMs, slice_ms := SliceMs}) ->
    equal(TotalMs, SliceMs);
slices(open, #{latency_ms := TotalMs, slice_ms := SliceMs, rate_per_second := Rate}) ->
    equal(TotalMs, max(SliceMs, ?ARRIVALS_OF_A_SLICE * 1000 div Rate)).

equal(TotalMs, SliceMs) ->
    Count = max(1, TotalMs div SliceMs),
    [(N * TotalMs) div Count - ((N - 1) * TotalMs) div Count || N <- lists:seq(1, Count)].

%% The answers by role, or the first error and whose it was.
each(Do, Sides) -> each(Do, Sides, []).

each(_Do, [], Answers) ->
    {ok, lists:reverse(Answers)};
each(Do, [#{role := Role} = Side | Rest], Answers) ->
    case Do(Side) of
        ok -> each(Do, Rest, Answers);
        {ok, Answer} -> each(Do, Rest, [{Role, Answer} | Answers]);
        {error, Reason} -> {error, Role, Reason}
    end.

call(#{team := Team} = Side, Function, Arguments, DeadlineMs) ->
    ok = told(Side, phase(Function, Arguments)),
    router_bench_team:call(Team, Function, Arguments, DeadlineMs).

told(#{role := Role, team := Team}, Phase) ->
    router_bench_glance:tell(#{role => Role, peer => router_bench_team:place(Team), phase => Phase}).

phase(slice, [Loop, _DurationMs]) -> Loop;
phase(Function, _Arguments) -> Function.
