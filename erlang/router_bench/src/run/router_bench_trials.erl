%% @doc Trials, by which a load is found: a router is warmed up once, then offered one load after the other, in
%% its own BEAM or, where a plan has drivers, by all of them together.
%% @private
-module(router_bench_trials).

-export([find/4, here/2, once/4, together/1]).

-export_type([load/0, part/0, outcome/0, trial/0]).

%% What of the plan is tried.
-type load() :: #{concurrency => pos_integer(), rate_per_second => pos_integer()}.
%% Of the open loop `p99_ns' too, where a request succeeded.
-type outcome() :: #{ok := non_neg_integer(), duration_ns := router_bench_nif:ns(), skipped := non_neg_integer(),
                     p99_ns => router_bench_nif:ns()}.
%% What one of those who had it saw; `taken' as from {@link router_bench_loops:take/1}.
-type part() :: #{ok := non_neg_integer(), duration_ns := router_bench_nif:ns(), skipped := non_neg_integer(),
                  taken := #{atom() => binary()}}.
-type trial() :: fun((router_bench_loops:kind(), load(), DurationMs :: pos_integer()) ->
                         {ok, outcome()} | {error, term()}).

%% The plan by which the router is warmed up; what it leaves open is each trial's.
-callback warm(router_bench_plan:plan()) -> router_bench_plan:plan().
%% What is found by trials.
-callback search(router_bench_plan:plan(), trial()) -> {ok, Found :: term()} | {error, term()}.

%% @doc Finds what a module searches for, in fresh BEAMs, until a deadline of
%% `erlang:monotonic_time(millisecond)'.
-spec find(module(), router_bench_plan:plan(), router_bench_frozen:code(), DeadlineMs :: integer()) ->
          {ok, Found :: term()} | {error, term()}.
find(Module, Plan, Code, DeadlineMs) ->
    ok = router_bench_glance:tell(#{phase => Module}),
    case Plan of
        #{nodes := []} ->
            router_bench_place:evaluate(Plan, Code, {?MODULE, here, [Module, router_bench_plan:sent(Plan)]},
                                        DeadlineMs);
        #{} ->
            router_bench_drivers:during(Plan, DeadlineMs, fun(Drivers) ->
                by_drivers(Module, Plan, Code, Drivers, DeadlineMs)
            end)
    end.

%% @doc The same in this BEAM.
-spec here(module(), router_bench_plan:plan()) -> {ok, Found :: term()} | {error, term()}.
here(Module, Plan) ->
    #{adapter := Adapter} = Warm = Module:warm(Plan),
    router_bench_router:with(Warm, fun(State) ->
        Context = #{plan => Warm, adapter => Adapter, state => State},
        case router_bench_warmup:run(Context) of
            {ok, _} -> Module:search(Plan, fun(Kind, Load, DurationMs) -> alone(Kind, Load, DurationMs, Context) end);
            {error, Reason} -> {error, Reason}
        end
    end).

alone(Kind, Load, DurationMs, Context) ->
    case once(Kind, Load, DurationMs, Context) of
        {ok, Part} -> {ok, together([Part])};
        {error, Reason} -> {error, Reason}
    end.

by_drivers(Module, Plan, Code, Drivers, DeadlineMs) ->
    case router_bench_team:start(Module:warm(Plan), Code, Drivers, DeadlineMs) of
        {ok, Team} ->
            try router_bench_team:begin_side(Team, DeadlineMs) of
                ok -> by_team(Module, Plan, Team, DeadlineMs);
                {error, Reason} -> {error, Reason}
            after router_bench_team:stop(Team)
            end;
        {error, Reason} ->
            {error, Reason}
    end.

by_team(Module, Plan, Team, DeadlineMs) ->
    Call = fun(Function, Arguments) -> router_bench_team:call(Team, Function, Arguments, DeadlineMs) end,
    case Call(warm_up, []) of
        ok ->
            case Module:search(Plan, fun(Kind, Load, DurationMs) -> Call(trial, [Kind, Load, DurationMs]) end) of
                {ok, Found} ->
                    case Call(leave, []) of
                        ok -> {ok, Found};
                        {error, Reason} -> {error, Reason}
                    end;
                {error, Reason} ->
                    {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc One trial, or a share of it, of a router that is warm.
-spec once(router_bench_loops:kind(), load(), DurationMs :: pos_integer(), router_bench_side:context()) ->
          {ok, part()} | {error, term()}.
once(Kind, Load, DurationMs, #{plan := Plan} = Context) ->
    {ok, Begun} = router_bench_loops:enter(Kind, router_bench_loops:new(Context#{plan := maps:merge(Plan, Load)})),
    case router_bench_loops:slice(DurationMs, Begun) of
        {ok, Slice, Loops} ->
            Taken = router_bench_loops:take(Loops),
            case router_bench_loops:close(Loops) of
                {ok, #{Kind := #{accounting := #{skipped := Skipped}}}} ->
                    {ok, (maps:with([ok, duration_ns], Slice))#{skipped => Skipped, taken => Taken}};
                {error, Reason} ->
                    {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc What those saw who had a trial, as one: counts are added, the p99 is that of all requests, and it lasted
%% as long as its longest part.
-spec together([part(), ...]) -> outcome().
together(Parts) ->
    Sum = fun(Key) -> lists:sum([maps:get(Key, Part) || Part <- Parts]) end,
    P99 = case [Taken || #{taken := #{response_time := Taken}} <- Parts] of
              [] ->
                  #{};
              Responses ->
                  All = router_bench_nif:recorder_new(0),
                  ok = router_bench_nif:recorder_add(All, Responses),
                  maps:with([p99_ns], router_bench_nif:recorder_slice(All))
          end,
    P99#{ok => Sum(ok), skipped => Sum(skipped), duration_ns => lists:max([Ns || #{duration_ns := Ns} <- Parts])}.
