%% @doc One build under trace, in a BEAM of its own, which ends with it.
%%
%% The same requests are routed in each of several passes, because what is measured in one would disturb
%% another: without trace, counting calls, timing them, counting the words that they allocate; a sample of the
%% requests with their messages. At last everything is collected, and what is left is looked at.
%% @private
-module(router_bench_profile).

-export([run/3]).

-export_type([profile/0, load/0]).

%% As `cp1_format' has it.
-type profile() :: #{requests := pos_integer(), workers := pos_integer(), routing_us := non_neg_integer(),
                     traced_routing_us := non_neg_integer(), functions := [map()],
                     functions_left_out := non_neg_integer(), work := map(), locks => [map()],
                     memory := #{atom() => non_neg_integer()}, tables := [map()], processes := [map()],
                     messages := [map()], long_runs := [map()],
                     reasons := [router_bench_outcome:reason()]}.
%% Requests of each worker: of the passes that warm up, and of every other.
-type load() :: #{warm_up := [pos_integer()], pass := pos_integer()}.

%% A pass that took so long, or had so many requests, says how fast the router is.
-define(CALIBRATED_US, 200000).
-define(REQUESTS_MAX, 20000).
%% What a pass without trace takes, about. Under trace it takes some ten times that.
-define(PASS_US, 250000).
%% The time of a function is the median of so many passes.
-define(TIMED_PASSES, 3).

%% @doc Profiles the build of this VM. `Own' are the directories of the project's applications.
-spec run(router_bench_plan:plan(), Own :: [file:filename()], calibrate | load()) ->
          {ok, {load(), profile()}} | {error, Reason :: term()}.
run(#{adapter := Adapter} = Plan, Own, Load) ->
    router_bench_router:with(Plan, fun(State) ->
        ok = watch_router(Adapter, State),
        Context = #{plan => Plan, adapter => Adapter, state => State},
        try
            Settled = warm_up(Context, Load),
            {ok, {Settled, profile(Context, router_bench_scope:new(Own), Settled)}}
        catch
            throw:{failed, Reason} -> {error, Reason}
        end
    end).

watch_router(Adapter, State) ->
    case erlang:function_exported(Adapter, processes, 1) of
        true -> lists:foreach(fun(Name) -> monitor(process, Name) end, Adapter:processes(State));
        false -> ok
    end.

%% Warming up

warm_up(Context, calibrate) ->
    calibrate(Context, 1, []);
warm_up(Context, #{warm_up := Passes} = Load) ->
    lists:foreach(fun(Requests) -> untraced(Context, Requests) end, Passes),
    Load.

%% Twice as many requests each time.
calibrate(#{plan := #{concurrency := Workers}} = Context, Requests, Before) ->
    Passes = [Requests | Before],
    case untraced(Context, Requests) of
        #{wall_us := WallUs} when WallUs < ?CALIBRATED_US, 2 * Requests * Workers =< ?REQUESTS_MAX ->
            calibrate(Context, 2 * Requests, Passes);
        #{wall_us := WallUs} ->
            Most = max(1, ?REQUESTS_MAX div Workers),
            #{warm_up => lists:reverse(Passes),
              pass => min(Most, max(1, Requests * ?PASS_US div max(1, WallUs)))}
    end.

untraced(Context, Requests) ->
    {Passed, nothing} = pass(Context, Requests, alongside, fun(_Pids) -> fun() -> nothing end end),
    Passed.

pass(Context, Requests, Built, Begin) ->
    case router_bench_pass:run(Context, Requests, Built, Begin) of
        {ok, Passed, Found} -> {Passed, Found};
        {error, Reason} -> throw({failed, Reason})
    end.

%% Passes

profile(#{plan := #{concurrency := Workers}, adapter := Adapter} = Context, Scope, #{pass := Requests}) ->
    #{seen := Worked} = Plain = plain(Context, Scope, Requests),
    Traced = traced(Context, Scope, Requests),
    #{seen := Ran, messages := Messages} =
        case router_bench_traffic:run(Context, Scope, Requests) of
            {ok, Traffic} -> Traffic;
            {error, Reason} -> throw({failed, Reason})
        end,
    Left = router_bench_census:take(Adapter, Scope, [Worked, Ran]),
    lists:foldl(fun maps:merge/2, #{requests => Workers * Requests, workers => Workers, messages => Messages},
                [maps:remove(seen, Plain), Traced, Left]).

%% Without trace.
plain(#{adapter := Adapter} = Context, Scope, Requests) ->
    Tally = router_bench_outcome:new(),
    Begin = fun(Pids) ->
                    Known = router_bench_scope:with_workers(Pids, Adapter, Scope),
                    Watch = router_bench_work:start(Known),
                    fun() -> router_bench_work:stop(Watch) end
            end,
    {#{routing_us := RoutingUs}, Seen} = pass(Context#{tally => Tally}, Requests, alongside, Begin),
    Seen#{routing_us => RoutingUs, reasons => router_bench_outcome:reasons(Tally)}.

traced(Context, Scope, Requests) ->
    Once = fun(Kind) ->
                   Begin = fun(_Pids) ->
                                   ok = router_bench_trace:start(Kind, Scope),
                                   fun() -> router_bench_trace:stop(Kind, Scope) end
                           end,
                   {#{routing_us := RoutingUs}, Found} = pass(Context, Requests, ahead, Begin),
                   {RoutingUs, Found}
           end,
    {_, Calls} = Once(call_count),
    {RoutingUs, Times} = lists:unzip([Once(call_time) || _ <- lists:seq(1, ?TIMED_PASSES)]),
    Words = case router_bench_trace:has(call_memory) of
                true -> element(2, Once(call_memory));
                false -> absent
            end,
    Functions = router_bench_trace:functions(Calls, Times, Words, Scope),
    Functions#{traced_routing_us => router_bench_trace:median(RoutingUs)}.
