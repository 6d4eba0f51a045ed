%% @doc Turns what the rounds measured into a report. Pure.
%%
%% The shape is that of `cp1_format'; the native library checks it when it encodes. A figure that
%% was not measured is left out.
-module(router_bench_report).

-export([new/1, failure_text/1]).

-export_type([report/0, facts/0, ending/0, pairing/0]).

-type report() :: #{atom() => term()}.
-type ending() :: unfinished | complete | {failed, Reason :: term()}.
-type facts() :: #{timestamp := binary(), git := router_bench_env:git(),
                   plan := router_bench_plan:plan(),
                   controls := router_bench_control:result(),
                   calibration_rps => float(), % where the rate was derived from it
                   rounds := [router_bench_round:result()], % in order
                   pairing => pairing(),                    % of a side of a replay
                   ending := ending(), duration_ms := non_neg_integer()}.

%% One place in `went_first' for each round: whether it came before its partner.
-type pairing() :: #{role := frozen | candidate, seed := non_neg_integer(),
                     went_first := [boolean()]}.

%% At least 200 samples above a gated percentile: 20,000 for p99, which is enough for p95 too.
-define(SAMPLES_MIN, 20000).
%% A native pacing thread on a quiet machine with 2 processors stays below 100 us at 10,000 a
%% second.
-define(ANNOUNCE_LAG_P99_MAX_NS, 250000).
-define(REASON_LENGTH_MAX, 1000).
-define(COUNTS, [errors_total, backpressure_active_total]).

%% @doc The report of a run, as far as it came.
-spec new(facts()) -> report().
new(#{timestamp := Timestamp, git := Git, controls := Controls,
      rounds := Results} = Facts) ->
    Numbered = lists:zip(lists:seq(1, length(Results)), Results),
    Rounds = [round_of(N, Result) || {N, Result} <- Numbered],
    Base = (maps:with([pairing], Facts))#{
             schema => #{name => cp1_report, version => 1},
             timestamp => Timestamp,
             git => Git,
             env => env(Results),
             metrics => headline(Rounds),
             run => run(Facts, Rounds),
             controls => Controls,
             rounds => Rounds,
             histograms => lists:append([histograms(N, Result) || {N, Result} <- Numbered]),
             series => lists:append([series(N, Result) || {N, Result} <- Numbered])},
    With = maps:merge(Base, load(Facts)),
    case Results of
        [] -> With;
        [#{clock := Clock} | _] ->
            With#{accounting => accounting(Rounds),
                  diagnostics => #{clock => maps:map(fun rounded_float/2, Clock),
                                   spread_pct => spread(Rounds)}}
    end.

env([]) -> #{};
env([#{env := Env} | _]) -> Env.

%% Nothing before the rate is known.
load(#{plan := #{rate_per_second := calibrate}}) ->
    #{};
load(#{plan := #{adapter := Adapter, arrivals := Arrivals} = Plan} = Facts) ->
    Keys = [rounds, warmup_ms, throughput_ms, latency_ms, rate_per_second, concurrency,
            latency_workers, max_in_flight, drain_timeout_ms, sample_interval_ms, timeout_ms, seed],
    Load = (maps:with(Keys, Plan))#{adapter => Adapter, arrivals => Arrivals, keys => keys(Plan)},
    case Facts of
        #{calibration_rps := Rps} -> #{load => Load#{calibration_rps => rounded(Rps)}};
        #{} -> #{load => Load}
    end.

keys(#{keys := uniform, key_count := Count}) ->
    #{distribution => uniform, count => Count};
keys(#{keys := {zipf, Exponent}, key_count := Count}) ->
    #{distribution => zipf, count => Count, exponent => Exponent}.

run(#{plan := #{fault := Fault}, ending := Ending, duration_ms := DurationMs}, Rounds) ->
    Status = case Ending of
                 unfinished -> #{status => unfinished};
                 {failed, Reason} -> #{status => failed, reason => failure_text(Reason)};
                 complete -> complete(Rounds)
             end,
    Planted = case Fault of
                  none -> #{};
                  _ -> #{planted_fault => router_bench_fault:text(Fault)}
              end,
    maps:merge(Status#{duration_ms => DurationMs}, Planted).

complete(Rounds) ->
    case [Count || #{latency := #{response_time := #{count := Count}}} <- Rounds,
                   Count < ?SAMPLES_MIN] of
        [] ->
            generator(Rounds);
        [Count | _] ->
            Text = io_lib:format("~b successful requests in a latency phase; a p99 takes ~b",
                                 [Count, ?SAMPLES_MIN]),
            #{status => insufficient_samples, reason => unicode:characters_to_binary(Text)}
    end.

%% The generator limits what a round can show if its own lateness is most of the p99 and beyond what
%% a quiet machine has. Said of the run if that is so in most rounds, since its figure is their
%% median.
generator(Rounds) ->
    Limited = [Lag || #{latency := #{announce_lag := #{p99_ns := Lag},
                                     response_time := #{p99_ns := Response}}} <- Rounds,
                      Lag > ?ANNOUNCE_LAG_P99_MAX_NS, 2 * Lag > Response],
    case 2 * length(Limited) > length(Rounds) of
        true ->
            Text = io_lib:format("in ~b of ~b rounds the generator was late itself, up to ~b us in p99",
                                 [length(Limited), length(Rounds), lists:max(Limited) div 1000]),
            #{status => generator_limited, reason => unicode:characters_to_binary(Text)};
        false ->
            #{status => complete}
    end.

%% @doc A reason on one line, of bounded length.
-spec failure_text(term()) -> binary().
failure_text(Reason) ->
    Text = lists:flatten(io_lib:format("~0tP", [Reason, 30])),
    Printable = [case C >= 32 andalso C =/= 127 of true -> C; false -> $\s end || C <- Text],
    unicode:characters_to_binary(lists:sublist(Printable, ?REASON_LENGTH_MAX)).

%% One round

round_of(N, #{throughput := Throughput, latency := Latency, warmup := Warmup,
              evidence := Evidence} = Result) ->
    Memory = memory(Result),
    Errors = errors(Result),
    Backpressure = router_counted(backpressure_active_total, Result),
    #{round => N,
      metrics => metrics(Throughput, Latency, Memory, Errors, Backpressure),
      accounting => #{throughput => maps:get(accounting, Throughput),
                      latency => maps:get(accounting, Latency)},
      throughput => figures([service_time], Throughput),
      latency => figures([response_time, service_time, send_lag, announce_lag], Latency),
      memory => Memory,
      errors => Errors,
      backpressure => Backpressure,
      warmup => maps:update_with(rps, fun(Rates) -> [rounded(R) || R <- Rates] end, Warmup),
      vm => vm(Result),
      evidence => rounded_floats(Evidence),
      disturbed => router_bench_disturbed:reasons(Evidence)}.

figures(Quantities, #{duration_ns := DurationNs} = Phase) ->
    Percentiles = maps:map(fun(_, Snapshot) -> maps:remove(encoded, Snapshot) end,
                           maps:with(Quantities, Phase)),
    Percentiles#{duration_ns => DurationNs}.

metrics(#{duration_ns := DurationNs, accounting := #{ok := Ok}}, #{response_time := Response},
        #{peak_bytes := PeakBytes}, Errors, Backpressure) ->
    maps:from_list(
      [{rps, rounded(Ok * 1.0e9 / DurationNs)} || Ok > 0]
      ++ [{Metric, Ns / 1.0e6} || {Metric, Key} <- [{latency_p95_ms, p95_ns},
                                                    {latency_p99_ms, p99_ns}],
                                  {ok, Ns} <- [maps:find(Key, Response)], Ns > 0]
      ++ [{mem_mb_total_erlang, rounded(PeakBytes / 1048576)}]
      ++ [{errors_total, max(Driver, Router)} || #{driver := Driver, router := Router} <- [Errors]]
      ++ [{backpressure_active_total, Router} || #{router := Router} <- [Backpressure]]).

memory(#{samples := Samples}) ->
    Bytes = [B || {_, B} <- router_bench_vm:points(memory_total, Samples)],
    #{samples => length(Bytes), min_bytes => lists:min(Bytes), peak_bytes => lists:max(Bytes),
      end_bytes => lists:last(Bytes)}.

errors(#{throughput := #{accounting := A}, latency := #{accounting := B}} = Result) ->
    Driver = lists:sum([maps:get(Key, Phase) || Key <- [error, timeout], Phase <- [A, B]]),
    (router_counted(errors_total, Result))#{driver => Driver}.

vm(#{throughput := #{accounting := A}, latency := #{accounting := B, duration_ns := OpenNs},
     samples := Samples}) ->
    Sent = lists:sum([Offered - Skipped || #{offered := Offered, skipped := Skipped} <- [A, B]]),
    router_bench_vm:figures(Samples, #{requests => Sent, open_loop_ms => OpenNs div 1000000}).

%% A counter that went back was reset: what it counted is unknown, so it is left out.
router_counted(Key, #{counters_start := Start, counters_end := End}) ->
    case {Start, End} of
        {#{Key := Before}, #{Key := After}} when After >= Before -> #{router => After - Before};
        _ -> #{}
    end.

histograms(N, #{throughput := Throughput, latency := Latency}) ->
    [#{round => N, phase => Phase, quantity => Quantity, unit => ns,
       encoding => 'hdrhistogram-v2-deflate-base64', data => Data}
     || {Phase, Quantity, Measured} <- [{throughput, service_time, Throughput},
                                        {latency, response_time, Latency},
                                        {latency, service_time, Latency},
                                        {latency, send_lag, Latency}],
        #{encoded := Data} <- [maps:get(Quantity, Measured)]].

series(N, #{samples := Samples}) ->
    [Series#{round => N} || Series <- router_bench_vm:series(Samples)].

%% All rounds

%% The median over rounds of a figure, the sum of a count; only where every round has it.
headline(Rounds) ->
    maps:from_list([{Metric, summary(Metric, Values)} || {Metric, Values} <- by_metric(Rounds)]).

summary(Metric, Values) ->
    case lists:member(Metric, ?COUNTS) of
        true -> lists:sum(Values);
        false -> median(Values)
    end.

by_metric([]) ->
    [];
by_metric([#{metrics := First} | _] = Rounds) ->
    [{Metric, Values}
     || Metric <- maps:keys(First),
        Values <- [[Value || #{metrics := #{Metric := Value}} <- Rounds]],
        length(Values) =:= length(Rounds)].

median(Values) ->
    Sorted = lists:sort(Values),
    Middle = length(Sorted) div 2,
    case length(Sorted) rem 2 of
        1 -> lists:nth(Middle + 1, Sorted);
        0 -> rounded((lists:nth(Middle, Sorted) + lists:nth(Middle + 1, Sorted)) / 2)
    end.

accounting(Rounds) ->
    Sum = fun(Phase) ->
                  lists:foldl(fun(#{accounting := #{Phase := Outcomes}}, Total) ->
                                      maps:map(fun(K, V) -> V + maps:get(K, Total, 0) end, Outcomes)
                              end, #{}, Rounds)
          end,
    #{throughput => Sum(throughput), latency => Sum(latency)}.

%% Standard deviation (n - 1) in percent of the mean.
spread(Rounds) ->
    maps:from_list([{Metric, rounded(100 * deviation(Values) / mean(Values))}
                    || {Metric, Values} <- by_metric(Rounds), length(Values) > 1,
                       not lists:member(Metric, ?COUNTS)]).

mean(Values) ->
    lists:sum(Values) / length(Values).

deviation(Values) ->
    Mean = mean(Values),
    math:sqrt(lists:sum([(V - Mean) * (V - Mean) || V <- Values]) / (length(Values) - 1)).

rounded_floats(Map) ->
    maps:map(fun(_Key, Inner) when is_map(Inner) -> rounded_floats(Inner);
                (Key, Value) -> rounded_float(Key, Value)
             end, Map).

rounded_float(_Key, Value) when is_float(Value) -> rounded(Value);
rounded_float(_Key, Value) -> Value.

%% Nine decimal places: below the resolution of every figure, above that of its binary fraction.
rounded(Float) ->
    round(Float * 1.0e9) / 1.0e9.
