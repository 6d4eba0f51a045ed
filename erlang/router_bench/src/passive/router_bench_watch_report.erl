%% @doc Turns the windows of a watch into a report, and into text for a console. Pure.
%%
%% Of a shape with the reports of runs (`cp1_format'), where it has `watched' instead of `load'. What a load
%% of the bench alone can tell is not in it: no response time from an intended start, no lateness of a
%% generator, no throughput.
%% @private
-module(router_bench_watch_report).

-export([new/1, measured/2, table/1]).

-export_type([facts/0]).

%% `env', `clock' and `cost_ns' are known once a window has ended.
-type facts() :: #{timestamp := binary(), git := router_bench_env:git(),
                   plan := router_bench_watch:plan(), windows := [router_bench_watch:window()],
                   ending := router_bench_report:ending(), duration_ms := non_neg_integer(),
                   env => router_bench_env:vm(), clock => router_bench_env:clock(),
                   cost_ns => float()}.

%% @doc The report, as far as the watch came; or why the gate would not take its blocks.
-spec new(facts()) -> {ok, router_bench_report:report()} | {error, Message :: binary()}.
new(#{windows := Windows} = Facts) ->
    Raw = [block(N, Window) || {N, Window} <- numbered(Windows)],
    case router_bench_nif:report_summary(Raw) of
        {ok, Summary} -> {ok, report(Facts, Raw, Summary)};
        {error, Message} -> {error, Message}
    end.

numbered(Windows) ->
    lists:zip(lists:seq(1, length(Windows)), Windows).

report(#{timestamp := Timestamp, git := Git, windows := Windows} = Facts, Raw,
       #{blocks := OfBlocks, metrics := Metrics} = Summary) ->
    Numbered = numbered(Windows),
    Base = #{schema => #{name => cp1_report, version => 3},
             timestamp => Timestamp,
             git => Git,
             env => env(Facts),
             metrics => Metrics,
             run => run(Facts, Summary),
             watched => watched(Facts),
             blocks => [Block#{metrics := Of, errors := Errors#{driver => Driver}}
                        || {#{errors := Errors} = Block, #{metrics := Of, driver_errors := Driver}}
                               <- lists:zip(Raw, OfBlocks)],
             histograms => [histogram(N, Window) || {N, Window} <- Numbered],
             series => lists:append([router_bench_report:series(N, Window) || {N, Window} <- Numbered])},
    case {Facts, Summary} of
        {#{clock := Clock}, #{accounting := Accounting, spread_pct := Spread}} ->
            Base#{accounting => Accounting,
                  diagnostics => #{clock => router_bench_report:rounded_floats(Clock),
                                   spread_pct => Spread}};
        {#{}, _} ->
            Base
    end.

%% A node that has traffic ran already.
env(#{env := Env, clock := #{source := Source}}) -> Env#{clock_source => Source, attached => true};
env(#{}) -> #{attached => true}.

watched(#{plan := Plan} = Facts) ->
    #{spans := Prefixes, adapter := Adapter} = Plan,
    Watched = maps:with([blocks, window_ms, slice_ms, drain_timeout_ms, sample_interval_ms], Plan),
    Source = case Prefixes of
                 [] -> #{source => calls};
                 _ -> #{source => spans, spans => lists:sort([span(Prefix) || Prefix <- Prefixes])}
             end,
    maps:merge(maps:merge(Watched, Source),
               maps:from_list([{adapter, Adapter} || Adapter =/= none] ++ recording(Facts))).

span(Prefix) ->
    router_bench_text:line(lists:join($., [atom_to_list(Atom) || Atom <- Prefix]), 200).

%% Beside the time that requests took, and the schedulers' time.
recording(#{cost_ns := CostNs, windows := [_ | _] = Windows, env := #{schedulers_online := Schedulers}}) ->
    Times = [{Count, MeanNs} || #{service_time := #{count := Count, mean_ns := MeanNs}} <- Windows],
    Served = lists:sum([Count || {Count, _} <- Times]),
    ServedNs = lists:sum([Count * MeanNs || {Count, MeanNs} <- Times]),
    Seen = lists:sum([Offered || #{accounting := #{offered := Offered}} <- Windows]),
    LengthNs = lists:sum([Ns || #{duration_ns := Ns} <- Windows]),
    [{recording,
      maps:from_list(
        [{of_service_time_pct, percent(CostNs * Served, ServedNs)} || ServedNs > 0]
        ++ [{request_ns, router_bench_report:rounded(CostNs)},
            {of_scheduler_time_pct, percent(CostNs * Seen, LengthNs * Schedulers)}])}];
recording(_Facts) ->
    [].

%% Four decimal places: one in a million.
percent(Part, Whole) ->
    round(1.0e6 * Part / Whole) / 1.0e4.

run(#{plan := #{blocks := Blocks}, windows := Windows, ending := Ending, duration_ms := DurationMs},
    Summary) ->
    Status = case Ending of
                 unfinished ->
                     #{status => unfinished};
                 interrupted ->
                     Text = io_lib:format("after ~b of ~b windows", [length(Windows), Blocks]),
                     #{status => interrupted, reason => iolist_to_binary(Text)};
                 {failed, Reason} ->
                     #{status => failed, reason => router_bench_failure:sentence(Reason)};
                 complete ->
                     (maps:with([reason], Summary))#{status => router_bench_report:status(Summary)}
             end,
    Status#{duration_ms => DurationMs}.

block(N, #{duration_ns := DurationNs, slices := Slices, service_time := Times, accounting := Accounting,
           reasons := Reasons, samples := Samples, evidence := Evidence} = Window) ->
    Counted = Window#{counters_start => at_end(fun hd/1, Samples),
                      counters_end => at_end(fun lists:last/1, Samples)},
    maps:merge(
      maps:from_list([{reasons, lists:sublist(Reasons, 10)} || Reasons =/= []]),
      #{block => N,
        metrics => #{},
        accounting => #{traffic => Accounting},
        traffic => (maps:with([started, recordings_failed], Window))#{
                     duration_ns => DurationNs,
                     slices => columns(Slices),
                     service_time => maps:remove(encoded, Times)},
        memory => router_bench_report:memory(Window),
        errors => router_bench_report:router_counted(errors_total, Counted),
        backpressure => router_bench_report:router_counted(backpressure_active_total, Counted),
        % The node has more to do than these requests: nothing is a figure of each.
        vm => router_bench_vm:figures(Samples, 0),
        evidence => router_bench_report:rounded_floats(Evidence),
        disturbed => router_bench_disturbed:reasons(Evidence)}).

%% The router's counters where the window begins or ends: the sampler reads them at both.
at_end(Of, Samples) ->
    maps:from_list([{Key, element(2, Of(Points))}
                    || Key <- [errors_total, backpressure_active_total],
                       [_ | _] = Points <- [router_bench_vm:points(Key, Samples)]]).

%% A figure of all slices, if each has it.
columns(Slices) ->
    Columns = [{Key, [Value || #{Key := Value} <- Slices]} || Key <- [ok, p50_ns, p95_ns, p99_ns]],
    maps:from_list([{Key, Values} || {Key, Values} <- Columns, length(Values) =:= length(Slices)]).

histogram(N, #{service_time := #{encoded := Data}}) ->
    #{block => N, phase => traffic, quantity => service_time, unit => ns,
      encoding => 'hdrhistogram-v2-deflate-base64', data => Data}.

%% @doc What is told when a window has ended.
-spec measured(pos_integer(), router_bench_report:report()) ->
          {window, pos_integer(), Figures :: map(), unicode:chardata()}.
measured(N, #{watched := #{blocks := Blocks}, blocks := Measured}) ->
    #{metrics := Metrics, accounting := #{traffic := #{offered := Offered}},
      traffic := #{duration_ns := DurationNs}} = lists:nth(N, Measured),
    {window, N, Metrics,
     io_lib:format("window ~b of ~b: ~s requests in ~b s, p95 ~ts, p99 ~ts, ~ts~n",
                   [N, Blocks, router_bench_figures:thousands(Offered), round(DurationNs / 1.0e9)
                    | [figure(Key, Metrics) || Key <- [latency_p95_ms, latency_p99_ms,
                                                       mem_mb_total_erlang]]])}.

figure(Key, Metrics) ->
    case Metrics of
        #{Key := Value} -> router_bench_figures:text(Key, Value);
        #{} -> "not measured"
    end.

%% @doc The headline figures, what became of the requests, what was not seen, and what watching cost.
-spec table(router_bench_report:report()) -> unicode:chardata().
table(#{run := Run, blocks := []}) ->
    io_lib:format("~nnothing was measured: ~ts~n", [ending(Run)]);
table(#{run := Run, blocks := Blocks, metrics := Metrics, watched := Watched,
        accounting := #{traffic := Traffic}}) ->
    Sum = fun(Key) -> lists:sum([maps:get(Key, Of) || #{traffic := Of} <- Blocks]) end,
    Failed = Sum(recordings_failed),
    [io_lib:format("~n~-28s ~14s~n", ["metric", "median"]),
     [io_lib:format("~-28s ~14ts~n", [Metric, figure(Metric, Metrics)])
      || Metric <- [latency_p95_ms, latency_p99_ms, mem_mb_total_erlang, errors_total,
                    backpressure_active_total]],
     io_lib:format("traffic of the node's own, ~s/s: ~s seen = ~s ok + ~s error + ~s timeout + ~s rejected~n",
                   [router_bench_figures:thousands(
                      round(maps:get(offered, Traffic) * 1.0e9 / max(1, Sum(duration_ns))))
                    | [router_bench_figures:thousands(maps:get(Key, Traffic))
                       || Key <- [offered, ok, error, timeout, rejected]]]),
     "latency counts from the actual start (coordinated omission); there is no throughput\n",
     [io_lib:format("~b recordings FAILED: as many requests are in no figure~n", [Failed]) || Failed > 0],
     [cost(Recording) || #{recording := Recording} <- [Watched]],
     io_lib:format("~b windows in ~.1f s: ~ts~n",
                   [length(Blocks), maps:get(duration_ms, Run) / 1000, ending(Run)])].

cost(#{request_ns := Ns, of_scheduler_time_pct := OfSchedulers} = Recording) ->
    OfRequests = [io_lib:format("~.3f % of the requests' time, ", [Pct])
                  || #{of_service_time_pct := Pct} <- [Recording]],
    io_lib:format("recording cost ~b ns a request: ~s~.3f % of the schedulers' time~n",
                  [round(Ns), OfRequests, OfSchedulers]).

ending(#{status := Status} = Run) ->
    [atom_to_list(Status) | [[": ", Reason] || #{reason := Reason} <- [Run]]].
