%% @doc One side of a block: its router, and who drives the load. That is the router's own BEAM
%% ({@link router_bench_side}), or drivers elsewhere: then routers watch while drivers drive, and what all of
%% them measured becomes one result ({@link router_bench_nodes}).
%% @private
-module(router_bench_team).

-export([start/4, begin_side/2, call/4, stop/1, place/1]).

-export_type([team/0]).

%% Beyond what something takes at most.
-define(ANSWER_MS, 10000).
%% Of both loops, each of which may have requests that are never answered.
-define(WARMUP_SLICES_MAX, 26).

-opaque team() :: #{plan := router_bench_plan:plan(), routers := [router_bench_place:place(), ...],
                    drivers := router_bench_drivers:drivers(), merging := none | router_bench_nodes:merging()}.

%% @doc Makes places for the routers of a side, whose plan has its instance. Belongs to the caller.
-spec start(router_bench_plan:plan(), router_bench_frozen:code(), router_bench_drivers:drivers(),
            DeadlineMs :: integer()) -> {ok, team()} | {error, term()}.
start(#{routers := Count} = Plan, Code, Drivers, DeadlineMs) ->
    case places(lists:seq(1, Count), Plan, Code, DeadlineMs, []) of
        {ok, Routers} ->
            Merging = case Drivers of
                          [] -> none;
                          _ -> router_bench_nodes:new()
                      end,
            {ok, #{plan => Plan, routers => Routers, drivers => Drivers, merging => Merging}};
        {error, Reason} ->
            {error, Reason}
    end.

places([], _Plan, _Code, _DeadlineMs, Started) ->
    {ok, lists:reverse(Started)};
places([Number | Rest], Plan, Code, DeadlineMs, Started) ->
    case router_bench_place:start(Plan, Code, Number, DeadlineMs) of
        {ok, Place} ->
            places(Rest, Plan, Code, DeadlineMs, [Place | Started]);
        {error, Reason} ->
            lists:foreach(fun router_bench_place:stop/1, Started),
            {error, Reason}
    end.

%% @doc Starts the routers, and connects the drivers to them.
-spec begin_side(team(), DeadlineMs :: integer()) -> ok | {error, term()}.
begin_side(#{plan := Plan, routers := [Place], drivers := []}, DeadlineMs) ->
    router_bench_place:call(Place, router_bench_side, start, [router_bench_plan:sent(Plan)], DeadlineMs);
begin_side(#{plan := Plan, routers := Places, drivers := Drivers} = Team, DeadlineMs) ->
    Routers = [router_bench_place:router(Place) || Place <- Places],
    Nodes = [Node || #{node := Node} <- Routers],
    Sent = router_bench_plan:sent(Plan),
    steps([fun() -> introduced(Places, Routers, DeadlineMs) end,
           fun() -> routers(Team, start, [Sent#{reached := {here, Nodes}}], DeadlineMs) end,
           fun() -> router_bench_drivers:introduce(Drivers, Routers, DeadlineMs) end,
           fun() -> router_bench_drivers:connect(Drivers, Sent#{reached := Nodes}, limit_ms(connect, [], Plan),
                                                 DeadlineMs) end]).

introduced(Places, Routers, DeadlineMs) ->
    each(fun(Place) ->
                 #{node := Node} = router_bench_place:router(Place),
                 router_bench_cluster:introduce(Routers, Node, router_bench_place:caller(Place, DeadlineMs))
         end, Places).

steps([]) ->
    ok;
steps([Step | Rest]) ->
    case Step() of
        ok -> steps(Rest);
        {ok, _} -> steps(Rest);
        {error, Reason} -> {error, Reason}
    end.

%% @doc Has the side do something of {@link router_bench_side}, or its drivers something of {@link
%% router_bench_trials}, after which the side leaves with nothing measured.
-spec call(team(), atom(), [term()], DeadlineMs :: integer()) -> ok | {ok, term()} | {error, term()}.
call(#{drivers := [], routers := [Place]}, Function, Arguments, DeadlineMs) ->
    router_bench_place:call(Place, router_bench_side, Function, Arguments, DeadlineMs);
call(#{merging := Merging, drivers := Drivers} = Team, warm_up, [], DeadlineMs) ->
    steps([fun() -> drivers(Team, warm_up, [], DeadlineMs) end,
           fun() -> routers(Team, warmed_up, [], DeadlineMs) end,
           fun() -> router_bench_nodes:begin_clocks(Merging, router_bench_drivers:clocks(Drivers, DeadlineMs)) end]);
call(#{merging := Merging} = Team, slice, [Kind, _DurationMs] = Arguments, DeadlineMs) ->
    steps([fun() -> routers(Team, resume, [Kind], DeadlineMs) end,
           fun() ->
                   case drivers(Team, slice, Arguments, DeadlineMs) of
                       {ok, Slices} -> router_bench_nodes:add(Merging, Kind, [Slice || {_, Slice} <- Slices]);
                       {error, Reason} -> {error, Reason}
                   end
           end,
           fun() -> routers(Team, pause, [], DeadlineMs) end]);
call(#{merging := Merging} = Team, finish, [], DeadlineMs) ->
    case finished(Team, DeadlineMs) of
        {ok, Drivers, Routers} -> router_bench_nodes:result(Merging, Drivers, Routers);
        {error, Reason} -> {error, Reason}
    end;
call(Team, trial, Arguments, DeadlineMs) ->
    case drivers(Team, trial, Arguments, DeadlineMs) of
        {ok, Parts} -> {ok, router_bench_trials:together([Part || {_, Part} <- Parts])};
        {error, Reason} -> {error, Reason}
    end;
call(Team, leave, [], DeadlineMs) ->
    case finished(Team, DeadlineMs) of
        {ok, _Drivers, _Routers} -> ok;
        {error, Reason} -> {error, Reason}
    end;
call(Team, unload, [], DeadlineMs) ->
    case finished(Team, DeadlineMs) of
        {ok, Drivers, _Routers} ->
            {ok, lists:sum([Offered || {_, #{loops := #{closed := #{accounting := #{offered := Offered}}}}, _}
                                           <- Drivers])};
        {error, Reason} ->
            {error, Reason}
    end.

finished(#{merging := Merging, drivers := Drivers} = Team, DeadlineMs) ->
    Rates = router_bench_drivers:rates(router_bench_nodes:begun_clocks(Merging),
                                       router_bench_drivers:clocks(Drivers, DeadlineMs)),
    case drivers(Team, finish, [], DeadlineMs) of
        {ok, Results} ->
            case routers(Team, finish, [], DeadlineMs) of
                {ok, Routers} ->
                    {ok, [{Driver, Result, Rate} || {{Driver, Result}, Rate} <- lists:zip(Results, Rates)], Routers};
                {error, Reason} ->
                    {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

drivers(#{drivers := Drivers, plan := #{instance := Instance} = Plan}, Function, Arguments, DeadlineMs) ->
    router_bench_drivers:all(Drivers, Function, [Instance | Arguments], limit_ms(Function, Arguments, Plan),
                             DeadlineMs).

routers(#{routers := Places, plan := Plan}, Function, Arguments, DeadlineMs) ->
    LimitMs = limit_ms(Function, Arguments, Plan),
    each(fun(Place) ->
                 router_bench_place:call(Place, router_bench_side, Function, Arguments, LimitMs, DeadlineMs)
         end, Places).

%% What each takes at most, and whoever lives gives up before: one that says nothing stands still.
limit_ms(Function, Arguments, Plan) -> takes_ms(Function, Arguments, Plan) + ?ANSWER_MS.

takes_ms(warm_up, [], #{warmup_ms := WarmupMs, drain_timeout_ms := DrainMs, callback_timeout_ms := LimitMs}) ->
    6 * WarmupMs + ?WARMUP_SLICES_MAX * DrainMs + LimitMs;
takes_ms(slice, [_Kind, DurationMs], #{drain_timeout_ms := DrainMs}) ->
    2 * DurationMs + DrainMs;
takes_ms(trial, [Kind, _Load, DurationMs], Plan) ->
    takes_ms(slice, [Kind, DurationMs], Plan);
takes_ms(Function, _Arguments, #{callback_timeout_ms := LimitMs}) ->
    length(callbacks(Function)) * LimitMs.

%% Of the adapter, one after the other.
callbacks(connect) -> [{connect, 2}];
callbacks(start) -> [{init, 1}, {transport, 1}];
callbacks(warmed_up) -> [{counters, 1}];
callbacks(finish) -> [{counters, 1}, {terminate, 1}]; % of a driver connection_counters/1 and disconnect/1
callbacks(Function) when Function =:= resume; Function =:= pause -> [].

%% What is done with each router, or the first that fails.
each(Do, Places) -> each(Do, Places, 1, []).

each(_Do, [], _Number, Answers) ->
    {ok, lists:reverse(Answers)};
each(Do, [Place | Rest], Number, Answers) ->
    case Do(Place) of
        ok -> each(Do, Rest, Number + 1, Answers);
        {ok, Answer} -> each(Do, Rest, Number + 1, [Answer | Answers]);
        {error, Reason} -> {error, {router, Number, router_bench_place:name(Place), Reason}}
    end.

%% @doc Ends the routers; drivers go on.
-spec stop(team()) -> ok.
stop(#{routers := Places, merging := Merging}) ->
    _ = [router_bench_nodes:forget(Merging) || Merging =/= none],
    lists:foreach(fun router_bench_place:stop/1, Places).

%% @doc Where its first router is.
-spec place(team()) -> router_bench_place:place().
place(#{routers := [Place | _]}) -> Place.
