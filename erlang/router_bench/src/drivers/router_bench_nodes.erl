%% @doc What routers and drivers of one side measured, as one.
%%
%% Counts are added, never percentiles: whatever drivers recorded is added up in recorders of the conductor.
%% Clocks are not compared: each duration is one node's own, and a slice lasted as long as its longest.
%% @private
-module(router_bench_nodes).

-export([new/0, forget/1, begin_clocks/2, begun_clocks/1, add/3, result/3]).

-export_type([merging/0, nodes/0]).

-opaque merging() :: #{table := ets:table(),
                       recorders := #{router_bench_loops:kind() => #{atom() => router_bench_nif:recorder()}}}.
%% A driver's own end, and by how much its clock runs faster than the conductor's.
-type ended() :: {router_bench_drivers:driver(), router_bench_driver:result(), router_bench_drivers:rate()}.
%% Of each driver what it offered and how it went, in order; of each router what its BEAM says.
-type nodes() :: #{drivers := [#{atom() => term()}, ...], routers := [router_bench_side:result(), ...]}.

%% Kinds of failures that are kept of all drivers together.
-define(REASONS_MAX, 32).
%% As within one machine, see {@link router_bench_disturbed}.
-define(CLOCK_RATE_PPM, 200).

%% @doc Nothing measured yet. Belongs to the caller.
-spec new() -> merging().
new() ->
    Recorders = fun(Quantities) ->
                        maps:from_list([{Quantity, router_bench_nif:recorder_new(0)} || Quantity <- Quantities])
                end,
    #{table => ets:new(?MODULE, [ordered_set]),
      recorders => #{closed => Recorders([service_time]),
                     open => Recorders([response_time, service_time, dispatch_lag])}}.

%% @doc Nothing is kept any more.
-spec forget(merging()) -> ok.
forget(#{table := Table}) ->
    true = ets:delete(Table),
    ok.

%% @doc Keeps what the drivers' clocks said first.
-spec begin_clocks(merging(), router_bench_drivers:readings()) -> ok.
begin_clocks(#{table := Table}, Readings) ->
    true = ets:insert_new(Table, {clocks, Readings}),
    ok.

%% @doc What that was.
-spec begun_clocks(merging()) -> router_bench_drivers:readings().
begun_clocks(#{table := Table}) ->
    [{clocks, Readings}] = ets:lookup(Table, clocks),
    Readings.

%% @doc Adds a slice of all drivers.
-spec add(merging(), router_bench_loops:kind(), [router_bench_driver:slice(), ...]) -> ok.
add(#{table := Table, recorders := Recorders}, Kind, Slices) ->
    #{Kind := Of} = Recorders,
    _ = [ok = router_bench_nif:recorder_add(Recorder, [Taken || #{taken := #{Quantity := Taken}} <- Slices])
         || {Quantity, Recorder} <- maps:to_list(Of)],
    #{count := Ok} = Figures = router_bench_nif:recorder_slice(maps:get(measured(Kind), Of)),
    DurationNs = lists:max([Ns || #{slice := #{duration_ns := Ns}} <- Slices]),
    Percentiles = maps:with([p50_ns, p95_ns, p99_ns], Figures),
    Merged = case Kind of
                 closed -> #{ok => Ok, duration_ns => DurationNs};
                 open -> Percentiles#{ok => Ok, duration_ns => DurationNs}
             end,
    true = ets:insert_new(Table, {{Kind, erlang:unique_integer([monotonic])}, Merged}),
    ok.

measured(closed) -> service_time;
measured(open) -> response_time.

%% @doc What a side measured, of what its drivers and routers say at the end; the books of all drivers together
%% must balance with what their slices brought.
-spec result(merging(), [ended(), ...], [router_bench_side:result(), ...]) ->
          {ok, router_bench_side:result()} | {error, term()}.
result(Merging, Ended, Sides) ->
    IsHere = lists:any(fun({#{place := Place}, _, _}) -> Place =:= local end, Ended),
    [First | _] = Routers = [without_drivers(IsHere, Side) || Side <- Sides],
    Drivers = [{Driver, without_drivers(Place =:= local, Result), Rate}
               || {#{place := Place} = Driver, Result, Rate} <- Ended],
    Results = [Result || {_, Result, _} <- Drivers],
    case {phase(closed, Merging, Results), phase(open, Merging, Results)} of
        {{ok, Throughput}, {ok, Latency}} ->
            {ok, First#{warmup => warmup([Warmup || #{warmup := Warmup} <- Results]),
                        throughput => Throughput, latency => Latency,
                        nodes => #{drivers => [driver(Driver) || Driver <- Drivers], routers => Routers}}};
        {{error, Reason}, _} ->
            {error, Reason};
        {_, {error, Reason}} ->
            {error, Reason}
    end.

%% Who else uses the processors of a machine cannot be told from the drivers that are there on purpose.
without_drivers(false, Result) ->
    Result;
without_drivers(true, #{evidence := #{machine := Machine} = Evidence} = Result) ->
    Result#{evidence := Evidence#{machine := maps:remove(other_cpu_pct, Machine)}};
without_drivers(true, Result) ->
    Result.

phase(Kind, #{table := Table, recorders := Recorders}, Drivers) ->
    #{Kind := Of} = Recorders,
    Phases = [Phase || #{loops := #{Kind := Phase}} <- Drivers],
    Slices = [Slice || [Slice] <- ets:match(Table, {{Kind, '_'}, '$1'})],
    Snapshots = maps:map(fun(_, Recorder) -> router_bench_nif:recorder_snapshot(Recorder) end, Of),
    #{count := Ok} = maps:get(measured(Kind), Snapshots),
    Accounting = lists:foldl(fun(#{accounting := A}, Sum) -> maps:map(fun(K, V) -> V + maps:get(K, Sum, 0) end, A)
                             end, #{}, Phases),
    case Accounting of
        #{ok := Ok} ->
            {ok, Snapshots#{duration_ns => lists:sum([Ns || #{duration_ns := Ns} <- Slices]), slices => Slices,
                            accounting => Accounting,
                            reasons => reasons(lists:append([Reasons || #{reasons := Reasons} <- Phases])),
                            strays => lists:sum([Strays || #{strays := Strays} <- Phases])}};
        #{ok := Said} ->
            {error, {requests_lost, Said - Ok, Accounting}}
    end.

reasons(All) ->
    Sums = lists:foldl(fun(#{outcome := Outcome, reason := Reason, count := Count} = One, Sum) ->
                               maps:update_with({Outcome, Reason},
                                                fun(#{count := Before} = First) -> First#{count := Before + Count} end,
                                                One, Sum)
                       end, #{}, All),
    Ranked = lists:sort([{-Count, Reason} || #{count := Count} = Reason <- maps:values(Sums)]),
    [Reason || {_, Reason} <- lists:sublist(Ranked, ?REASONS_MAX)].

%% Throughput is that of all where all were still at it; the first slices are those of the slowest to settle.
warmup(Warmups) ->
    Count = lists:min([length(Rps) || #{rps := Rps} <- Warmups]),
    Latest = [lists:nthtail(length(Rps) - Count, Rps) || #{rps := Rps} <- Warmups],
    #{steady => lists:all(fun(#{steady := Steady}) -> Steady end, Warmups),
      duration_ms => lists:max([Ms || #{duration_ms := Ms} <- Warmups]),
      rps => sums(Latest)}.

sums([[] | _]) -> [];
sums(Lists) -> [lists:sum([hd(List) || List <- Lists]) | sums([tl(List) || List <- Lists])].

driver({#{share := {Share, _Of}, place := Place}, Result, {Ppm, UncertaintyPpm}}) ->
    #{loops := #{closed := #{accounting := Throughput}, open := #{accounting := Latency, dispatch_lag := Lag}},
      evidence := Evidence, env := Env} = Result,
    % One that went back is unknown, as a router's is.
    Counted = maps:from_list([{Name, maps:from_list([{router, Count} || Count >= 0])}
                              || #{counters := Counters} <- [Result],
                                 {Name, Key} <- [{errors, errors_total}, {backpressure, backpressure_active_total}],
                                 #{Key := Count} <- [Counters]]),
    Counted#{driver => Share + 1, place => router_bench_drivers:text(Place),
      accounting => #{throughput => Throughput, latency => Latency},
      dispatch_lag => maps:remove(encoded, Lag),
      clock_rate_ppm => abs(Ppm), clock_rate_uncertainty_ppm => UncertaintyPpm,
      disturbed => lists:usort(router_bench_disturbed:reasons(Evidence)
                               ++ [clock_drift || abs(Ppm) - UncertaintyPpm > ?CLOCK_RATE_PPM]),
      env => maps:with([otp_release, erts_version, cpu_model, cpu_count, kernel, schedulers_online, nif_version,
                        router_bench_version], Env)}.
