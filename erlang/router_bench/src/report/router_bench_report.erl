%% @doc Turns what one side of the blocks measured into a report. Pure.
%%
%% The shape is that of `cp1_format'; the native library checks it when it encodes. A figure that
%% was not measured is left out.
-module(router_bench_report).

-export([new/1]).

-export_type([report/0, facts/0, ending/0, measured/0, pairing/0]).

-type report() :: #{atom() => term()}.
-type ending() :: unfinished | complete | {failed, Reason :: term()}.
-type facts() :: #{timestamp := binary(), git := router_bench_env:git(),
                   plan := router_bench_plan:plan(),
                   controls := router_bench_control:result(),
                   calibration_rps => float(), % where the rate was derived from it
                   blocks := [measured()],      % in order
                   pairing => pairing(),        % of a side of a replay
                   ending := ending(), duration_ms := non_neg_integer()}.

%% One side of a block, and where it came in it.
-type measured() :: #{result := router_bench_side:result(), booted_first := boolean(),
                      went_first := #{closed | open => [boolean()]}}.
%% One place in `booted_first' for each block: whether this side's BEAM was started first.
-type pairing() :: #{role := frozen | candidate, seed := non_neg_integer(),
                     booted_first := [boolean()], alive_together := boolean()}.

%% At least 200 samples above a gated percentile: 20,000 for p99, which is enough for p95 too.
-define(SAMPLES_MIN, 20000).
%% Beyond this share of a gated percentile, the dispatcher's own lateness is most of what is seen.
-define(GENERATOR_SHARE_MAX, (2 / 3)).
%% Kinds of failures that a block lists.
-define(REASONS_MAX, 10).
-define(COUNTS, [errors_total, backpressure_active_total]).

%% @doc The report of a run, as far as it came.
-spec new(facts()) -> report().
new(#{timestamp := Timestamp, git := Git, controls := Controls,
      blocks := Measured} = Facts) ->
    Results = [Result || #{result := Result} <- Measured],
    Numbered = lists:zip(lists:seq(1, length(Results)), Results),
    Blocks = [block_of(N, Of, is_map_key(pairing, Facts))
              || {N, Of} <- lists:zip(lists:seq(1, length(Measured)), Measured)],
    Base = (maps:with([pairing], Facts))#{
             schema => #{name => cp1_report, version => 3},
             timestamp => Timestamp,
             git => Git,
             env => env(Results),
             metrics => headline(Blocks),
             run => run(Facts, Blocks),
             controls => Controls,
             blocks => Blocks,
             histograms => lists:append([histograms(N, Result) || {N, Result} <- Numbered]),
             series => lists:append([series(N, Result) || {N, Result} <- Numbered])},
    With = maps:merge(Base, load(Facts)),
    case Results of
        [] -> With;
        [#{clock := Clock} | _] ->
            With#{accounting => accounting(Blocks),
                  diagnostics => #{clock => maps:map(fun rounded_float/2, Clock),
                                   spread_pct => spread(Blocks)}}
    end.

env([]) -> #{};
env([#{env := Env} | _]) -> Env.

%% Nothing before it is known.
load(#{plan := #{rate_per_second := Rate, concurrency := Workers}})
  when Rate =:= calibrate; Workers =:= calibrate ->
    #{};
load(#{plan := #{adapter := Adapter, arrivals := Arrivals} = Plan} = Facts) ->
    Keys = [blocks, warmup_ms, throughput_ms, latency_ms, slice_ms, rate_per_second, concurrency,
            max_in_flight, drain_timeout_ms, sample_interval_ms, timeout_ms, seed],
    Load = (maps:with(Keys, router_bench_calibration:settled(Plan)))#{adapter => Adapter, arrivals => Arrivals, keys => keys(Plan)},
    case Facts of
        #{calibration_rps := Rps} -> #{load => Load#{calibration_rps => rounded(Rps)}};
        #{} -> #{load => Load}
    end.

keys(#{keys := uniform, key_count := Count}) ->
    #{distribution => uniform, count => Count};
keys(#{keys := {zipf, Exponent}, key_count := Count}) ->
    #{distribution => zipf, count => Count, exponent => Exponent}.

run(#{plan := #{fault := Fault}, ending := Ending, duration_ms := DurationMs}, Blocks) ->
    Status = case Ending of
                 unfinished -> #{status => unfinished};
                 {failed, Reason} ->
                     #{status => failed, reason => router_bench_failure:sentence(Reason)};
                 complete -> complete(Blocks)
             end,
    Planted = case Fault of
                  none -> #{};
                  _ -> #{planted_fault => router_bench_fault:text(Fault)}
              end,
    maps:merge(Status#{duration_ms => DurationMs}, Planted).

complete(Blocks) ->
    case [Count || #{latency := #{response_time := #{count := Count}}} <- Blocks,
                   Count < ?SAMPLES_MIN] of
        [] ->
            generator(Blocks);
        [Count | _] ->
            Text = io_lib:format("~b successful requests in the open loop of a block; a p99 takes ~b",
                                 [Count, ?SAMPLES_MIN]),
            #{status => insufficient_samples, reason => unicode:characters_to_binary(Text)}
    end.

%% The dispatcher's lateness limits what the blocks can show if it is more than two thirds of a gated
%% percentile. Said of the run if that is so in most blocks, since its figure is their median.
generator(Blocks) ->
    Shares = [{median([share(Key, Block) || Block <- Blocks]), Name}
              || {Key, Name} <- [{p95_ns, "p95"}, {p99_ns, "p99"}]],
    case lists:max(Shares) of
        {Share, Name} when Share > ?GENERATOR_SHARE_MAX ->
            Text = io_lib:format("the load generator's own lateness is ~b % of the ~s",
                                 [round(100 * Share), Name]),
            #{status => generator_limited, reason => unicode:characters_to_binary(Text)};
        _ ->
            #{status => complete}
    end.

share(Key, #{latency := #{dispatch_lag := Lag, response_time := Response}}) ->
    case {Lag, Response} of
        {#{Key := LagNs}, #{Key := ResponseNs}} -> LagNs / max(1, ResponseNs);
        _ -> 0
    end.

%% One block

block_of(N, #{result := Result, went_first := WentFirst}, IsPaired) ->
    #{throughput := Throughput, latency := Latency, warmup := Warmup, evidence := Evidence,
      idle := Idle} = Result,
    Memory = memory(Result),
    Errors = errors(Result),
    Backpressure = router_counted(backpressure_active_total, Result),
    Reasons = reasons([Throughput, Latency]),
    Sometimes = [{reasons, Reasons} || Reasons =/= []]
        ++ [{idle_cpu_pct, rounded(100 * CpuMs / WallMs)}
            || IsPaired, #{cpu_ms := CpuMs, wall_ms := WallMs} <- [Idle], WallMs > 0],
    Order = fun(Loop) -> [{went_first, maps:get(Loop, WentFirst)} || IsPaired] end,
    (maps:from_list(Sometimes))#{
      block => N,
      metrics => metrics(Throughput, Latency, Memory, Errors, Backpressure),
      accounting => #{throughput => maps:get(accounting, Throughput),
                      latency => maps:get(accounting, Latency)},
      throughput => figures([service_time], [ok, duration_ns], Order(closed), Throughput),
      latency => figures([response_time, service_time, dispatch_lag], [ok, p50_ns, p95_ns, p99_ns],
                         Order(open), Latency),
      memory => Memory,
      errors => Errors,
      backpressure => Backpressure,
      warmup => maps:update_with(rps, fun(Rates) -> [rounded(R) || R <- Rates] end, Warmup),
      vm => vm(Result),
      evidence => rounded_floats(Evidence),
      disturbed => router_bench_disturbed:reasons(Evidence),
      strays => lists:sum([maps:get(strays, Phase) || Phase <- [Throughput, Latency]])}.

%% Of both phases together, the most frequent first.
reasons(Phases) ->
    Merged = lists:foldl(fun(#{outcome := Outcome, reason := Reason, count := Count} = One, Sum) ->
                                 Key = {Outcome, Reason},
                                 #{count := Before} = First = maps:get(Key, Sum, One#{count := 0}),
                                 Sum#{Key => First#{count := Before + Count}}
                         end, #{}, lists:append([Of || #{reasons := Of} <- Phases])),
    Ranked = lists:sort([{-Count, Reason} || #{count := Count} = Reason <- maps:values(Merged)]),
    [Reason || {_, Reason} <- lists:sublist(Ranked, ?REASONS_MAX)].

figures(Quantities, Columns, Order, #{duration_ns := DurationNs, slices := Slices} = Phase) ->
    Percentiles = maps:map(fun(_, Snapshot) -> maps:remove(encoded, Snapshot) end,
                           maps:with(Quantities, Phase)),
    Percentiles#{duration_ns => DurationNs,
                 slices => maps:from_list(Order ++ [{Column, Values} || Column <- Columns,
                                                                        {ok, Values} <- [column(Column, Slices)]])}.

%% A figure of all slices, if each has it.
column(Key, Slices) ->
    Values = [Value || #{Key := Value} <- Slices],
    case length(Values) =:= length(Slices) of
        true -> {ok, Values};
        false -> absent
    end.

%% Of a rate and a time the median over slices.
metrics(#{slices := Closed}, #{slices := Open}, #{peak_bytes := PeakBytes}, Errors, Backpressure) ->
    Rates = [Ok * 1.0e9 / Ns || #{ok := Ok, duration_ns := Ns} <- Closed],
    maps:from_list(
      [{rps, rounded(Rps)} || Rps <- [median(Rates)], Rps > 0]
      ++ [{Metric, rounded(Ns / 1.0e6)}
          || {Metric, Key} <- [{latency_p95_ms, p95_ns}, {latency_p99_ms, p99_ns}],
             {ok, Values} <- [column(Key, Open)], Ns <- [median(Values)], Ns > 0]
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

%% What is gated. Of what it is made of, the block's percentiles suffice: a report is stored.
histograms(N, #{latency := #{response_time := #{encoded := Data}}}) ->
    [#{block => N, phase => latency, quantity => response_time, unit => ns,
       encoding => 'hdrhistogram-v2-deflate-base64', data => Data}].

series(N, #{samples := Samples}) ->
    [Series#{block => N} || Series <- router_bench_vm:series(Samples)].

%% All blocks

%% The median over blocks of a figure, the sum of a count; only where every block has it.
headline(Blocks) ->
    maps:from_list([{Metric, summary(Metric, Values)} || {Metric, Values} <- by_metric(Blocks)]).

summary(Metric, Values) ->
    case lists:member(Metric, ?COUNTS) of
        true -> lists:sum(Values);
        false -> rounded_float(Metric, median(Values))
    end.

by_metric([]) ->
    [];
by_metric([#{metrics := First} | _] = Blocks) ->
    [{Metric, Values}
     || Metric <- maps:keys(First),
        Values <- [[Value || #{metrics := #{Metric := Value}} <- Blocks]],
        length(Values) =:= length(Blocks)].

median(Values) ->
    Sorted = lists:sort(Values),
    Middle = length(Sorted) div 2,
    case length(Sorted) rem 2 of
        1 -> lists:nth(Middle + 1, Sorted);
        0 -> (lists:nth(Middle, Sorted) + lists:nth(Middle + 1, Sorted)) / 2
    end.

accounting(Blocks) ->
    Sum = fun(Phase) ->
                  lists:foldl(fun(#{accounting := #{Phase := Outcomes}}, Total) ->
                                      maps:map(fun(K, V) -> V + maps:get(K, Total, 0) end, Outcomes)
                              end, #{}, Blocks)
          end,
    #{throughput => Sum(throughput), latency => Sum(latency)}.

%% Standard deviation (n - 1) in percent of the mean.
spread(Blocks) ->
    maps:from_list([{Metric, rounded(100 * deviation(Values) / mean(Values))}
                    || {Metric, Values} <- by_metric(Blocks), length(Values) > 1,
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
