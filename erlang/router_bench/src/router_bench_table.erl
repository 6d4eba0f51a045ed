%% @doc A report for people at a console. Pure.
-module(router_bench_table).

-export([format/1]).

%% @doc The headline figures with their spread over rounds, and what became of the requests.
-spec format(router_bench_report:report()) -> unicode:chardata().
format(#{metrics := Metrics, run := Run, rounds := Rounds} = Report) ->
    Spread = case Report of
                 #{diagnostics := #{spread_pct := Pct}} -> Pct;
                 #{} -> #{}
             end,
    [io_lib:format("~n~-28s ~14s  ~s~n", ["metric", "median", "spread over rounds"]),
     [row(Metric, Unit, Metrics, Spread)
      || {Metric, Unit} <- [{latency_p95_ms, "ms"}, {latency_p99_ms, "ms"}, {rps, "/s"},
                            {mem_mb_total_erlang, "MB"}, {errors_total, ""},
                            {backpressure_active_total, ""}]],
     [requests(Report) || is_map_key(accounting, Report)],
     disturbed(Rounds),
     io_lib:format("~b rounds in ~.1f s: ~ts~n",
                   [length(Rounds), maps:get(duration_ms, Run) / 1000, ending(Run)])].

row(Metric, Unit, Metrics, Spread) ->
    Value = case Metrics of
                #{Metric := Count} when is_integer(Count) -> integer_to_list(Count);
                #{Metric := Figure} -> io_lib:format("~.3f", [Figure]);
                #{} -> "not measured"
            end,
    Pct = case Spread of
              #{Metric := Deviation} -> io_lib:format("~.1f %", [Deviation]);
              #{} -> ""
          end,
    io_lib:format("~-28s ~14s~s  ~s~n", [Metric, Value, pad(Unit), Pct]).

pad("") -> "   ";
pad(Unit) -> " " ++ Unit.

requests(#{accounting := Accounting}) ->
    [io_lib:format("~-11s ~b offered = ~b ok + ~b error + ~b timeout + ~b rejected + ~b skipped~n",
                   [Phase | [maps:get(Key, maps:get(Phase, Accounting))
                             || Key <- [offered, ok, error, timeout, rejected, skipped]]])
     || Phase <- [throughput, latency]].

%% How many rounds were disturbed and why; nothing where none was.
disturbed(Rounds) ->
    Reasons = [Reasons || #{disturbed := [_ | _] = Reasons} <- Rounds],
    Count = fun(Reason) -> length([found || Of <- Reasons, lists:member(Reason, Of)]) end,
    Texts = [io_lib:format("~s in ~b", [Reason, Count(Reason)])
             || Reason <- lists:usort(lists:append(Reasons))],
    [io_lib:format("disturbed   ~b of ~b rounds: ~s~n",
                   [length(Reasons), length(Rounds), lists:join(", ", Texts)])
     || Reasons =/= []].

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
