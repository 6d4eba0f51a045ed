%% @doc Measures a message router inside its own BEAM.
%%
%% ```
%% 1> router_bench:run(ref_router_adapter).
%% 2> {ok, Report} = router_bench:run(#{adapter => my_adapter, rounds => 3}).
%% 3> router_bench:write_report(Report, "_artifacts/mine.json").
%% '''
-module(router_bench).

-export([run/1, find_rate/1, write_report/2]).

%% @doc Runs the plan of some options, or the default plan of an adapter. Prints progress and a
%% table.
%%
%% `{error, {failed, Text, Report}}': a round ended early; the report has what was measured until
%% then. With option `report_file' the report is on disk from the start, marked unfinished, and is
%% replaced after every round: whatever ends this VM, what is left says how far the run came.
-spec run(module() | router_bench_plan:options()) ->
          {ok, router_bench_report:report()}
        | {error, {failed, Text :: binary(), router_bench_report:report()}
                | {not_written, Message :: binary()}
                | router_bench_plan:reason()}.
run(Adapter) when is_atom(Adapter) ->
    run(#{adapter => Adapter});
run(Options) when is_map(Options) ->
    case router_bench_plan:new(Options) of
        {ok, Plan} ->
            run_plan(Plan);
        {error, Reason} ->
            io:format("~ts~n", [router_bench_plan:message(Reason)]),
            {error, Reason}
    end.

%% @doc Finds the highest arrival rate at which p99 of the response time stays at or under
%% `p99_limit_us' (default 1,000) with no arrival skipped, to 5 %. Each trial runs for `latency_ms';
%% choose a rate well below what this finds.
-spec find_rate(module() | router_bench_plan:options()) ->
          {ok, router_bench_rate:result()} | {error, term()}.
find_rate(Adapter) when is_atom(Adapter) ->
    find_rate(#{adapter => Adapter});
find_rate(Options) when is_map(Options) ->
    case router_bench_plan:new(Options) of
        {ok, #{timeout_ms := TimeoutMs} = Plan} ->
            DeadlineMs = erlang:monotonic_time(millisecond) + TimeoutMs,
            router_bench_peer:run(router_bench_rate, Plan, DeadlineMs);
        {error, Reason} ->
            io:format("~ts~n", [router_bench_plan:message(Reason)]),
            {error, Reason}
    end.

%% @doc Writes a report as JSON, after the checks that the gate makes when it reads one.
-spec write_report(router_bench_report:report(), file:filename_all()) ->
          ok | {error, Message :: binary()}.
write_report(Report, Path) ->
    case router_bench_nif:report_write(unicode:characters_to_binary(Path), Report) of
        {ok, _Json} -> ok;
        {error, Message} -> {error, Message}
    end.

run_plan(#{adapter := Adapter, timeout_ms := TimeoutMs} = Plan) ->
    StartMs = erlang:monotonic_time(millisecond),
    Facts = #{timestamp => timestamp(),
              git => router_bench_env:git(filename:dirname(code:which(Adapter))),
              plan => Plan, controls => #{}, rounds => [], ending => unfinished,
              duration_ms => 0, start_ms => StartMs, deadline_ms => StartMs + TimeoutMs},
    case save(Facts) of
        {ok, _} -> controls(Facts);
        {error, Message} -> {error, {not_written, Message}}
    end.

controls(#{plan := #{control := false}} = Facts) ->
    calibrate(Facts);
controls(#{plan := Plan, deadline_ms := DeadlineMs} = Facts) ->
    case router_bench_peer:run(router_bench_control, Plan, DeadlineMs) of
        {ok, Controls} -> calibrate(Facts#{controls := Controls});
        {error, Reason} -> finish(Facts#{ending := {failed, {control, Reason}}})
    end.

calibrate(#{plan := #{rate_per_second := calibrate} = Plan, deadline_ms := DeadlineMs} = Facts) ->
    case router_bench_peer:run(router_bench_calibration, Plan, DeadlineMs) of
        {ok, #{rps := Rps, rate_per_second := Rate}} ->
            #{quiet := Quiet} = Plan,
            print(Quiet, io_lib:format("calibration: ~b requests/s, so ~b arrivals/s~n",
                                       [round(Rps), Rate])),
            rounds(1, Facts#{plan := Plan#{rate_per_second := Rate}, calibration_rps => Rps});
        {error, Reason} ->
            finish(Facts#{ending := {failed, {calibration, Reason}}})
    end;
calibrate(Facts) ->
    rounds(1, Facts).

rounds(N, #{plan := #{rounds := Rounds}} = Facts) when N > Rounds ->
    finish(Facts#{ending := complete});
rounds(N, #{plan := Plan, rounds := Done, deadline_ms := DeadlineMs} = Facts) ->
    case router_bench_peer:run(router_bench_round, Plan, DeadlineMs) of
        {ok, Result} ->
            Next = Facts#{rounds := Done ++ [Result]},
            case save(Next) of
                {ok, Report} ->
                    progress(N, Plan, Report),
                    rounds(N + 1, Next);
                {error, Message} ->
                    {error, {not_written, Message}}
            end;
        {error, Reason} ->
            finish(Facts#{ending := {failed, {round, N, Reason}}})
    end.

finish(#{plan := #{quiet := Quiet}, ending := Ending} = Facts) ->
    case {save(Facts), Ending} of
        {{ok, Report}, complete} ->
            print(Quiet, router_bench_table:format(Report)),
            {ok, Report};
        {{ok, Report}, {failed, Reason}} ->
            print(Quiet, router_bench_table:format(Report)),
            {error, {failed, router_bench_report:failure_text(Reason), Report}};
        {{error, Message}, _} ->
            {error, {not_written, Message}}
    end.

%% The report so far, on disk where the plan has a file for it.
save(#{plan := #{report_file := File}, start_ms := StartMs} = Facts) ->
    DurationMs = erlang:monotonic_time(millisecond) - StartMs,
    Report = router_bench_report:new((maps:without([start_ms, deadline_ms], Facts))
                                     #{duration_ms := DurationMs}),
    Written = case File of
                  none -> ok;
                  _ -> write_report(Report, File)
              end,
    case Written of
        ok -> {ok, Report};
        {error, Message} -> {error, Message}
    end.

progress(N, #{rounds := Rounds, quiet := Quiet}, #{rounds := Measured}) ->
    #{metrics := Metrics} = lists:last(Measured),
    Figure = fun(Key) ->
                     case Metrics of
                         #{Key := Value} -> io_lib:format("~w", [Value]);
                         #{} -> "not measured"
                     end
             end,
    print(Quiet, io_lib:format("round ~b of ~b: ~s requests/s, p95 ~s ms, p99 ~s ms, ~s MB~n",
                               [N, Rounds | [Figure(Key) || Key <- [rps, latency_p95_ms,
                                                                    latency_p99_ms,
                                                                    mem_mb_total_erlang]]])).

print(true, _Text) -> ok;
print(false, Text) -> io:put_chars(Text).

timestamp() ->
    Now = erlang:system_time(millisecond),
    list_to_binary(calendar:system_time_to_rfc3339(Now, [{unit, millisecond}, {offset, "Z"}])).
