%% @doc Turns what one side of the blocks measured into a report. Pure.
%%
%% The shape is that of `cp1_format'; the native library checks it when it encodes. What follows from
%% what was measured (figures, headline, sums, spread, whether that suffices) is computed there too, by
%% the functions that the gate checks reports with. A figure that was not measured is left out.
-module(router_bench_report).

-export([new/1]).
%% Parts that a report of watched traffic has too.
-export([memory/1, router_counted/2, series/2, rounded/1, rounded_floats/1, status/1]).

-export_type([report/0, facts/0, ending/0, measured/0, pairing/0]).

-type report() :: #{atom() => term()}.
-type ending() :: unfinished | complete | interrupted | {failed, Reason :: term()}.
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

%% Kinds of failures that a block lists.
-define(REASONS_MAX, 10).

%% @doc The report of a run, as far as it came; or why the gate would not take its blocks.
-spec new(facts()) -> {ok, report()} | {error, Message :: binary()}.
new(#{blocks := Measured} = Facts) ->
    Raw = [block_of(N, Of, is_map_key(pairing, Facts))
           || {N, Of} <- lists:zip(lists:seq(1, length(Measured)), Measured)],
    case router_bench_nif:report_summary(Raw) of
        {ok, Summary} -> {ok, report(Facts, Raw, Summary)};
        {error, Message} -> {error, Message}
    end.

report(#{timestamp := Timestamp, git := Git, controls := Controls, blocks := Measured} = Facts,
       Raw, #{blocks := OfBlocks, metrics := Metrics} = Summary) ->
    Results = [Result || #{result := Result} <- Measured],
    Numbered = lists:zip(lists:seq(1, length(Results)), Results),
    Base = (maps:with([pairing], Facts))#{
             schema => #{name => cp1_report, version => 3},
             timestamp => Timestamp,
             git => Git,
             env => env(Results),
             metrics => Metrics,
             run => run(Facts, Summary),
             controls => Controls,
             blocks => [summarized(Block, Of) || {Block, Of} <- lists:zip(Raw, OfBlocks)],
             histograms => lists:append([histograms(N, Result) || {N, Result} <- Numbered]),
             series => lists:append([series_of_all(N, Result) || {N, Result} <- Numbered])},
    With = maps:merge(Base, load(Facts)),
    case {Results, Summary} of
        {[], _} -> With;
        {[#{clock := Clock} | _], #{accounting := Accounting, spread_pct := Spread}} ->
            With#{accounting => Accounting,
                  diagnostics => #{clock => maps:map(fun rounded_float/2, Clock),
                                   spread_pct => Spread}}
    end.

summarized(#{errors := Errors} = Block, #{metrics := Metrics, driver_errors := Driver}) ->
    Block#{metrics := Metrics, errors := Errors#{driver => Driver}}.

env([]) -> #{};
env([#{env := Env} | _]) -> Env.

%% Nothing before it is known.
load(#{plan := #{rate_per_second := Rate, concurrency := Workers}})
  when Rate =:= calibrate; Workers =:= calibrate ->
    #{};
load(#{plan := #{adapter := Adapter, arrivals := Arrivals} = Plan} = Facts) ->
    Keys = [blocks, warmup_ms, throughput_ms, latency_ms, slice_ms, rate_per_second, concurrency,
            max_in_flight, drain_timeout_ms, sample_interval_ms, timeout_ms, seed],
    Load = (maps:merge(shared(Plan), maps:with(Keys, router_bench_calibration:settled(Plan))))#{
             adapter => Adapter, adapter_options => adapter_options(Plan), arrivals => Arrivals,
             keys => keys(Plan)},
    Sometimes = [{calibration_rps, rounded(Rps)} || {ok, Rps} <- [maps:find(calibration_rps, Facts)]]
        ++ [{outage, #{outage_ms => OutageMs, tolerance_pct => TolerancePct}}
            || #{outage_ms := OutageMs, outage_tolerance_pct := TolerancePct} <- [Plan], OutageMs =/= none],
    #{load => maps:merge(Load, maps:from_list(Sometimes))}.

shared(#{nodes := []}) -> #{};
shared(#{nodes := Drivers, routers := Routers, distribution := Distribution}) ->
    #{drivers => length(Drivers), routers => Routers, distribution => Distribution}.

%% Those that a file can name; a process or a function is no part of a load that could be offered again.
adapter_options(#{adapter_options := Given}) ->
    maps:from_list([{Name, Value} || {Key, Term} <- maps:to_list(Given), {ok, Name} <- [text(Key)],
                                     {ok, Value} <- [option(Term)]]).

option(Value) when is_boolean(Value) -> {ok, Value};
option(Value) when is_integer(Value), abs(Value) < 1 bsl 63 -> {ok, Value};
option(Value) -> text(Value).

text(Value) when is_atom(Value) ->
    {ok, atom_to_binary(Value)};
text(Value) when is_binary(Value) ->
    case unicode:characters_to_binary(Value) of
        Value -> {ok, Value};
        _ -> none
    end;
text(_) ->
    none.

keys(#{keys := uniform, key_count := Count}) ->
    #{distribution => uniform, count => Count};
keys(#{keys := {zipf, Exponent}, key_count := Count}) ->
    #{distribution => zipf, count => Count, exponent => Exponent}.

run(#{plan := #{fault := Fault, blocks := Blocks}, blocks := Measured, ending := Ending,
      duration_ms := DurationMs}, Summary) ->
    Status = case Ending of
                 unfinished -> #{status => unfinished};
                 interrupted ->
                     Text = io_lib:format("after ~b of ~b blocks", [length(Measured), Blocks]),
                     #{status => interrupted, reason => iolist_to_binary(Text)};
                 {failed, Reason} ->
                     #{status => failed, reason => router_bench_failure:sentence(Reason)};
                 complete -> (maps:with([reason], Summary))#{status => status(Summary)}
             end,
    Planted = case Fault of
                  none -> #{};
                  _ -> #{planted_fault => router_bench_fault:text(Fault)}
              end,
    maps:merge(Status#{duration_ms => DurationMs}, Planted).

%% @doc How a run ended that was measured to its end.
%% @private
-spec status(router_bench_nif:summary()) -> complete | insufficient_samples | generator_limited.
status(#{status := <<"complete">>}) -> complete;
status(#{status := <<"insufficient_samples">>}) -> insufficient_samples;
status(#{status := <<"generator_limited">>}) -> generator_limited.

%% One block, whose figures the summary gives.

block_of(N, #{result := Result, went_first := WentFirst}, IsPaired) ->
    #{throughput := Throughput, latency := Latency, warmup := Warmup, evidence := Evidence,
      idle := Idle} = Result,
    Reasons = reasons([Throughput, Latency]),
    Sometimes = [{reasons, Reasons} || Reasons =/= []]
        ++ [{nodes, of_nodes(Nodes)} || #{nodes := Nodes} <- [Result]]
        ++ [{recovery, recovery(Recovery)} || #{recovery := Recovery} <- [Result]]
        ++ [{idle_cpu_pct, rounded(100 * CpuMs / WallMs)}
            || IsPaired, #{cpu_ms := CpuMs, wall_ms := WallMs} <- [Idle], WallMs > 0],
    Order = fun(Loop) -> [{went_first, maps:get(Loop, WentFirst)} || IsPaired] end,
    (maps:from_list(Sometimes))#{
      block => N,
      metrics => #{},
      accounting => maps:from_list([{recovery, maps:get(accounting, Recovery)}
                                    || #{recovery := Recovery} <- [Result]]
                                   ++ [{throughput, maps:get(accounting, Throughput)},
                                       {latency, maps:get(accounting, Latency)}]),
      throughput => figures([service_time], [ok, duration_ns], Order(closed), Throughput),
      latency => figures([response_time, service_time, dispatch_lag], [ok, p50_ns, p95_ns, p99_ns],
                         Order(open), Latency),
      memory => memory_of_all(Result),
      errors => counted(errors_total, Result),
      backpressure => counted(backpressure_active_total, Result),
      warmup => maps:update_with(rps, fun(Rates) -> [rounded(R) || R <- Rates] end, Warmup),
      vm => vm(Result),
      evidence => rounded_floats(Evidence),
      disturbed => disturbed(Result),
      strays => lists:sum([maps:get(strays, Phase) || Phase <- [Throughput, Latency]])}.

recovery(#{reasons := Reasons} = Recovery) ->
    Kept = maps:without([accounting, reasons], Recovery),
    case reasons([Recovery]) of
        [] -> Kept;
        _ -> Kept#{reasons => lists:sublist(Reasons, ?REASONS_MAX)}
    end.

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

%% @doc Of the samples of a block.
%% @private
-spec memory(#{samples := router_bench_sampler:samples(), _ => _}) -> #{atom() => non_neg_integer()}.
memory(#{samples := Samples}) ->
    Bytes = [B || {_, B} <- router_bench_vm:points(memory_total, Samples)],
    #{samples => length(Bytes), min_bytes => lists:min(Bytes), peak_bytes => lists:max(Bytes),
      end_bytes => lists:last(Bytes)}.

%% Of several routers the sums of what each had, and what any of them or a driver was disturbed by.

memory_of_all(Result) ->
    Of = [memory(Router) || Router <- routers(Result)],
    maps:from_list([{Key, lists:sum([Bytes || #{Key := Bytes} <- Of])} || Key <- maps:keys(hd(Of))]).

%% What drivers' connections counted belongs to it.
counted(Key, Result) ->
    Name = maps:get(Key, #{errors_total => errors, backpressure_active_total => backpressure}),
    Of = [router_counted(Key, Router) || Router <- routers(Result)]
        ++ [Count || #{nodes := #{drivers := Drivers}} <- [Result], #{Name := Count} <- Drivers],
    case [Count || #{router := Count} <- Of] of
        Counts when length(Counts) =:= length(Of) -> #{router => lists:sum(Counts)};
        _ -> #{}
    end.

disturbed(Result) ->
    Drivers = [Disturbed || #{nodes := #{drivers := Of}} <- [Result], #{disturbed := Disturbed} <- Of],
    lists:usort(lists:append([router_bench_disturbed:reasons(Evidence)
                              || #{evidence := Evidence} <- routers(Result)] ++ Drivers)).

routers(#{nodes := #{routers := Routers}}) -> Routers;
routers(Result) -> [Result].

of_nodes(#{drivers := Drivers, routers := Routers}) ->
    Own = fun(#{samples := Samples}) ->
                  maps:from_list([{vm, router_bench_vm:figures(Samples, 0)} || length(Routers) > 1])
          end,
    #{drivers => [rounded_floats(Driver) || Driver <- Drivers],
      routers => [(Own(Router))#{router => Number, memory => memory(Router),
                                 errors => router_counted(errors_total, Router),
                                 backpressure => router_counted(backpressure_active_total, Router),
                                 disturbed => router_bench_disturbed:reasons(Evidence)}
                  || {Number, #{evidence := Evidence} = Router} <- numbered(Routers)]}.

numbered(List) -> lists:zip(lists:seq(1, length(List)), List).

%% Of several routers what can be said of all; the rest is each one's own.
vm(#{throughput := #{accounting := A}, latency := #{accounting := B}} = Result) ->
    Sent = lists:sum([Offered - Skipped || #{offered := Offered, skipped := Skipped} <- [A, B]]),
    case [Samples || #{samples := Samples} <- routers(Result)] of
        [Samples] -> router_bench_vm:figures(Samples, Sent);
        All -> router_bench_vm:figures_of_all(All, Sent)
    end.

%% @doc What a counter of the router grew by. One that went back was reset, as by a router that restarted:
%% what it counted is unknown, so it is left out. It may have overtaken its start since, so all that was
%% sampled is looked at.
%% @private
-spec router_counted(atom(), #{counters_start := router_bench_adapter:counters(),
                               counters_end := router_bench_adapter:counters(),
                               samples := router_bench_sampler:samples(), _ => _}) ->
          #{router => non_neg_integer()}.
router_counted(Key, #{counters_start := Start, counters_end := End, samples := Samples}) ->
    case {Start, End} of
        {#{Key := Before}, #{Key := After}} ->
            Sampled = [Value || {_, Value} <- router_bench_vm:points(Key, Samples)],
            Read = [Before | Sampled] ++ [After],
            case Read =:= lists:sort(Read) of
                true -> #{router => After - Before};
                false -> #{}
            end;
        _ ->
            #{}
    end.

%% What is gated. Of what it is made of, the block's percentiles suffice: a report is stored.
histograms(N, #{latency := #{response_time := #{encoded := Data}}}) ->
    [#{block => N, phase => latency, quantity => response_time, unit => ns,
       encoding => 'hdrhistogram-v2-deflate-base64', data => Data}].

%% Routers have a time of their own, so what was sampled is not added.
series_of_all(N, Result) ->
    case routers(Result) of
        [Router] -> series(N, Router);
        Routers -> [Series#{router => Number} || {Number, Router} <- numbered(Routers), Series <- series(N, Router)]
    end.

%% @doc What was sampled in block number `N'.
%% @private
-spec series(N :: pos_integer(), #{samples := router_bench_sampler:samples(), _ => _}) ->
          [#{atom() => term()}].
series(N, #{samples := Samples}) ->
    [Series#{block => N} || Series <- router_bench_vm:series(Samples)].

%% @doc Every number of a map, as a report has it.
%% @private
-spec rounded_floats(map()) -> map().
rounded_floats(Map) ->
    maps:map(fun(_Key, Inner) when is_map(Inner) -> rounded_floats(Inner);
                (Key, Value) -> rounded_float(Key, Value)
             end, Map).

rounded_float(_Key, Value) when is_float(Value) -> rounded(Value);
rounded_float(_Key, Value) -> Value.

%% @doc Nine decimal places: below the resolution of every figure, above that of its binary fraction.
%% @private
-spec rounded(float()) -> float().
rounded(Float) ->
    round(Float * 1.0e9) / 1.0e9.
