%% @doc A driver, in its BEAM: it offers its share of the load to a router elsewhere, slice by slice, with
%% recorders of its own, and gives what each slice recorded.
%%
%% A driver serves all sides of a block, one at a time; each has a process here, by its instance.
%% @private
-module(router_bench_driver).

-export([start/1, warm_up/1, slice/3, trial/4, finish/1]).

-export_type([slice/0, result/0]).

%% `taken' is what its recorders have since the slice before.
-type slice() :: #{slice := router_bench_loops:slice(), taken := #{atom() => binary()}}.
%% `counters': what its connection to the routers counted meanwhile, if the adapter counts there.
-type result() :: #{warmup := router_bench_warmup:result(), loops := router_bench_loops:results(),
                    counters => #{atom() => integer()},
                    evidence := router_bench_evidence:evidence(), env := router_bench_env:vm()}.
-type instance() :: pos_integer().

%% @doc Connects to the plan's routers.
-spec start(router_bench_plan:plan()) -> ok | {error, term()}.
start(#{adapter := Adapter, instance := Instance} = Plan) ->
    router_bench_asked:start(names(Instance), fun(Ready) ->
        router_bench_router:with(Plan, fun(State) ->
            ok = Ready(),
            router_bench_asked:serve(fun warming/2, #{plan => Plan, adapter => Adapter, state => State})
        end)
    end).

%% There are few instances.
names(Instance) ->
    Name = "router_bench_driver_" ++ integer_to_list(Instance),
    {list_to_atom(Name), list_to_atom(Name ++ "_owner")}.

%% @doc Warms the router up, with the other drivers; nothing of it is measured.
-spec warm_up(instance()) -> ok | {error, term()}.
warm_up(Instance) -> router_bench_asked:ask(names(Instance), warm_up).

%% @doc Offers its share of a slice.
-spec slice(instance(), router_bench_loops:kind(), DurationMs :: pos_integer()) ->
          {ok, slice()} | {error, term()}.
slice(Instance, Kind, DurationMs) -> router_bench_asked:ask(names(Instance), {slice, Kind, DurationMs}).

%% @doc Offers its share of a trial.
-spec trial(instance(), router_bench_loops:kind(), router_bench_trials:load(), DurationMs :: pos_integer()) ->
          {ok, router_bench_trials:part()} | {error, term()}.
trial(Instance, Kind, Load, DurationMs) -> router_bench_asked:ask(names(Instance), {trial, Kind, Load, DurationMs}).

%% @doc Disconnects and gives what all slices together measured.
-spec finish(instance()) -> {ok, result()} | {error, term()}.
finish(Instance) -> router_bench_asked:ask(names(Instance), finish).

%% In the process

warming(warm_up, #{adapter := Adapter, state := State} = Context) ->
    case router_bench_warmup:run(Context) of
        {ok, Warmup} ->
            {next, ok, fun driving/2, #{warmup => Warmup, watch => router_bench_evidence:open(),
                                        counted => router_bench_router:connection_counters(Adapter, State),
                                        context => Context, loops => router_bench_loops:new(Context)}};
        {error, Reason} ->
            {error, Reason}
    end.

driving({slice, Kind, DurationMs}, #{loops := Before, watch := Watch} = Kept) ->
    case router_bench_loops:enter(Kind, Before) of
        {ok, Loops} ->
            Watching = router_bench_evidence:resume(Watch),
            Result = router_bench_loops:slice(DurationMs, Loops),
            Paused = router_bench_evidence:pause(Watching),
            driven(Result, Kept#{watch := Paused});
        {error, Reason} ->
            {error, Reason}
    end;
driving({trial, Kind, Load, DurationMs}, #{context := Context} = Kept) ->
    case router_bench_trials:once(Kind, Load, DurationMs, Context) of
        {ok, Part} -> {next, {ok, Part}, fun driving/2, Kept};
        {error, Reason} -> {error, Reason}
    end;
driving(finish, #{loops := Loops, watch := Watch, warmup := Warmup, counted := Before, context := Context}) ->
    #{adapter := Adapter, state := State} = Context,
    case {router_bench_loops:close(Loops), Before, router_bench_router:connection_counters(Adapter, State)} of
        {{ok, Measured}, {ok, Start}, {ok, End}} ->
            {ok, (counters(Start, End))#{warmup => Warmup, loops => Measured,
                                         evidence => router_bench_evidence:close(Watch),
                                         env => router_bench_env:vm()}};
        {{error, Reason}, _, _} -> {error, Reason};
        {_, {error, Reason}, _} -> {error, Reason};
        {_, _, {error, Reason}} -> {error, Reason}
    end.

counters(none, none) ->
    #{};
counters(Start, End) ->
    #{counters => maps:map(fun(Key, After) -> After - maps:get(Key, Start, After) end, End)}.

driven({ok, Slice, Loops}, Kept) ->
    {next, {ok, #{slice => Slice, taken => router_bench_loops:take(Loops)}}, fun driving/2,
     Kept#{loops := Loops}};
driven({error, Reason}, _Kept) ->
    {error, Reason}.
