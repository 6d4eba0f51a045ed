%% @doc A report for people at a console. Pure.
%% @private
-module(router_bench_table).

-export([format/1]).

%% @doc The headline figures with their spread over blocks, what stands beside them, and what became
%% of the requests. Of a run that measured nothing, why.
-spec format(router_bench_report:report()) -> unicode:chardata().
format(#{run := Run, blocks := []}) ->
    io_lib:format("~nnothing was measured: ~ts~n", [ending(Run)]);
format(#{metrics := Metrics, run := Run, blocks := Blocks} = Report) ->
    Spread = case Report of
                 #{diagnostics := #{spread_pct := Pct}} -> Pct;
                 #{} -> #{}
             end,
    [io_lib:format("~n~-28s ~14s  ~s~n", ["metric", "median", "spread over blocks"]),
     [row(Metric, Metrics, Spread)
      || Metric <- [latency_p95_ms, latency_p99_ms, rps, mem_mb_total_erlang, errors_total,
                    backpressure_active_total]],
     [row(mem_mb_worst_node, Metrics, Spread) || is_map_key(mem_mb_worst_node, Metrics)],
     [row(Metric, Metrics, Spread) || has_outage(Report), Metric <- [recovery_ms, requests_lost]],
     beside(Blocks),
     [requests(Report) || is_map_key(accounting, Report)],
     reasons(Blocks),
     disturbed(Blocks),
     transport(Report),
     drivers(Report),
     io_lib:format("~b blocks in ~.1f s: ~ts~n",
                   [length(Blocks), maps:get(duration_ms, Run) / 1000, ending(Run)])].

%% Who made the load, if not the router's BEAM.
drivers(#{load := #{drivers := Drivers, routers := Routers}}) ->
    io_lib:format("from ~b drivers to ~b routers, each in a BEAM of its own~n", [Drivers, Routers]);
drivers(_Report) ->
    "".

%% What stands between the load and the router, if anything does.
transport(#{env := #{transport := Name} = Env}) ->
    Of = [[", ", Text] || Key <- [transport_server, transport_tls_version, transport_tls_cipher],
                          {ok, Text} <- [maps:find(Key, Env)]],
    ["through ", Name, Of, $\n];
transport(_Report) ->
    "".

has_outage(#{load := #{outage := _}}) -> true;
has_outage(_Report) -> false.

row(Metric, Metrics, Spread) ->
    Value = case Metrics of
                #{Metric := Figure} -> router_bench_figures:text(Metric, Figure);
                #{} -> "not measured"
            end,
    Pct = case Spread of
              #{Metric := Deviation} -> io_lib:format("~.1f %", [float(Deviation)]);
              #{} -> ""
          end,
    io_lib:format("~-28s ~14s  ~s~n", [Metric, Value, Pct]).

%% Percentiles of the open loop, each the median over blocks; of the maximum the largest.
beside(Blocks) ->
    Keys = [p50_ns, p95_ns, p99_ns, p999_ns, max_ns],
    Rows = [{Quantity, [figure(Key, Quantity, Blocks) || Key <- Keys]}
            || Quantity <- [response_time, service_time, dispatch_lag]],
    [io_lib:format("~-14s ~11s ~11s ~11s ~11s ~11s~n",
                   ["open loop", "p50", "p95", "p99", "p99.9", "max"]),
     [io_lib:format("~-14s ~11s ~11s ~11s ~11s ~11s~n", [Quantity | Cells])
      || {Quantity, Cells} <- Rows]].

figure(Key, Quantity, Blocks) ->
    case {Key, lists:sort([Ns || #{latency := #{Quantity := #{Key := Ns}}} <- Blocks])} of
        {_, []} -> "-";
        {max_ns, Sorted} -> milliseconds(lists:last(Sorted));
        {_, Sorted} -> milliseconds(lists:nth(length(Sorted) div 2 + 1, Sorted))
    end.

milliseconds(Ns) ->
    router_bench_figures:text(latency_p95_ms, Ns / 1.0e6).

requests(#{accounting := Accounting}) ->
    [io_lib:format("~-11s ~s offered = ~s ok + ~s error + ~s timeout + ~s rejected + ~s skipped~n",
                   [Phase | [router_bench_figures:thousands(maps:get(Key, maps:get(Phase, Accounting)))
                             || Key <- [offered, ok, error, timeout, rejected, skipped]]])
     || Phase <- [throughput, latency, recovery], is_map_key(Phase, Accounting)].

%% Why requests failed, with a sample of each; of each block.
reasons(Blocks) ->
    [io_lib:format("block ~b     ~s ~s: ~ts, for example ~ts~n",
                   [N, router_bench_figures:thousands(Count), Outcome, Reason, Sample])
     || #{block := N, reasons := Reasons} <- Blocks,
        #{outcome := Outcome, reason := Reason, count := Count, sample := Sample} <- Reasons].

%% How many blocks were disturbed and why; nothing where none was.
disturbed(Blocks) ->
    Reasons = [Reasons || #{disturbed := [_ | _] = Reasons} <- Blocks],
    [[io_lib:format("disturbed   ~b of ~b blocks: ~s~n", [length(Reasons), length(Blocks), counted(Reasons)])
      | disturbed_drivers([Drivers || #{nodes := #{drivers := Drivers}} <- Blocks])]
     || Reasons =/= []].

%% Which driver's machine it was.
disturbed_drivers([]) ->
    [];
disturbed_drivers([First | _] = Blocks) ->
    [io_lib:format("            driver ~b (~ts): ~s~n", [Number, Place, counted(Reasons)])
     || #{driver := Number, place := Place} <- First,
        [_ | _] = Reasons <- [[Of || Drivers <- Blocks, #{driver := N, disturbed := [_ | _] = Of} <- Drivers,
                                     N =:= Number]]].

counted(Reasons) ->
    Count = fun(Reason) -> length([found || Of <- Reasons, lists:member(Reason, Of)]) end,
    lists:join(", ", [io_lib:format("~s in ~b", [Reason, Count(Reason)])
                      || Reason <- lists:usort(lists:append(Reasons))]).

ending(#{status := Status} = Run) ->
    Reason = case Run of
                 #{reason := Text} -> [": ", Text];
                 #{} -> ""
             end,
    Planted = case Run of
                  #{planted_fault := Fault} -> [" (PLANTED FAULT: ", Fault, ")"];
                  #{} -> ""
              end,
    [atom_to_list(Status), Reason, Planted].
