%% @doc A run: controls, then blocks, each in fresh BEAMs, with the report on disk all the while.
%%
%% A run has one side, the candidate, or in a replay two: block N of the frozen build and block N of
%% the candidate are measured in turn, slice by slice, in orders that the plan's seed decides
%% ({@link router_bench_block}). Each side has a report of its own. A planted fault is the
%% candidate's alone. A side that fails ends the run, and both reports say so.
%%
%% A report on disk is `unfinished' until the run has ended, so nobody can take what is left of a
%% killed run for a whole one. After each block but the last, a plan's `after_block' is asked, outside of
%% any measurement, and while it is the reports on disk have all blocks so far; on `stop' the run ends,
%% complete with these.
%% @private
-module(router_bench_run).

-export([run/1]).

%% What a BEAM takes to start and to end, about.
-define(BOOT_MS, 1000).

-type role() :: frozen | candidate.
-type side() :: #{role := role(), plan := router_bench_plan:plan(),
                  code := router_bench_frozen:code(), git := router_bench_env:git(),
                  controls := router_bench_control:result(),
                  blocks := [router_bench_report:measured()]}.
-type state() :: #{plan := router_bench_plan:plan(), sides := [side(), ...],
                   timestamp := binary(), start_ms := integer(),
                   deadline_ms := integer(), done := non_neg_integer(),
                   calibration_rps => float(), ending := router_bench_report:ending()}.
-type result() :: {ok, router_bench_report:report()}
                | {error, {failed, Text :: binary(), router_bench_report:report()}
                        | {not_written, Message :: binary()}}.

%% @doc Runs a plan; the report is the candidate's.
-spec run(router_bench_plan:plan()) -> result().
run(#{timeout_ms := TimeoutMs} = Plan) ->
    StartMs = now_ms(),
    State = #{plan => Plan, sides => sides(Plan),
              timestamp => timestamp(), start_ms => StartMs, deadline_ms => StartMs + TimeoutMs,
              done => 0, ending => unfinished},
    case save(State) of
        {ok, _} ->
            announce(State),
            controls(State);
        {error, Message} ->
            {error, {not_written, Message}}
    end.

-spec sides(router_bench_plan:plan()) -> [side(), ...].
sides(#{replay := Replay} = Plan) ->
    Side = #{controls => #{}, blocks => []},
    Candidate = Side#{role => candidate, plan => Plan, code => own,
                      git => router_bench_env:git(router_bench_plan:repository(Plan))},
    case Replay of
        none ->
            [Candidate];
        #{build := Build, report_file := File} ->
            [Side#{role => frozen, plan => Plan#{fault := none, report_file := File}, code => Build,
                   git => (maps:with([commit, tree], Replay))#{dirty => false}},
             Candidate]
    end.

%% Controls and blocks

-spec controls(state()) -> result().
controls(#{plan := #{control := false}} = State) ->
    calibrate(State);
controls(#{sides := Sides} = State) ->
    controls(Sides, [], State).

controls([], Controlled, State) ->
    calibrate(State#{sides := lists:reverse(Controlled)});
controls([#{role := Role, plan := Plan, code := Code} = Side | Rest], Controlled,
         #{deadline_ms := DeadlineMs} = State) ->
    case router_bench_peer:run(router_bench_control, Plan, Code, DeadlineMs) of
        {ok, Controls} ->
            controls(Rest, [Side#{controls := Controls} | Controlled], State);
        {error, Reason} ->
            finish(State#{ending := {failed, failure(control, Role, Reason, State)}})
    end.

%% A rate left open is chosen once for both sides, and by the frozen one where there is one.
-spec calibrate(state()) -> result().
calibrate(#{plan := #{rate_per_second := Rate, concurrency := Workers}, sides := [Side | _],
            deadline_ms := DeadlineMs} = State)
  when Rate =:= calibrate; Workers =:= calibrate ->
    #{plan := Plan, code := Code} = Side,
    case router_bench_peer:run(router_bench_calibration, Plan, Code, DeadlineMs) of
        {ok, Found} -> settle(calibrated(Found, State));
        {error, Reason} -> finish(State#{ending := {failed, {calibration, Reason}}})
    end;
calibrate(State) ->
    settle(State).

%% What was given stays as it was given.
calibrated(#{rps := Rps} = Found, #{plan := Plan} = State) ->
    Open = [Key || Key <- [rate_per_second, concurrency], maps:get(Key, Plan) =:= calibrate],
    #{plan := #{rate_per_second := Rate, concurrency := Workers}} = Planned =
        planned(fun(Of) -> maps:merge(Of, maps:with(Open, Found)) end, State),
    say(State, "calibration: ~s with ~b workers, so ~s arrivals/s in the open loop~n",
        [router_bench_figures:text(rps, Rps), Workers, router_bench_figures:thousands(Rate)]),
    Planned#{calibration_rps => Rps}.

%% Changes the plan of the run and of each side.
planned(Change, #{plan := Plan, sides := Sides} = State) ->
    State#{plan := Change(Plan), sides := [maps:update_with(plan, Change, Side) || Side <- Sides]}.

%% The open loop lasts as long as its rate needs; a run that cannot end in time does not begin.
settle(#{plan := #{latency_ms := calibrate, rate_per_second := Rate}} = State) ->
    #{plan := #{latency_ms := LatencyMs} = Plan, sides := Sides} = Settled =
        planned(fun router_bench_calibration:settled/1, State),
    #{blocks := Blocks, after_block := AfterBlock, warmup_ms := WarmupMs,
      throughput_ms := ThroughputMs} = Plan,
    % Who is asked after each block may need the first only.
    Least = case AfterBlock of
                none -> Blocks;
                _ -> 1
            end,
    RunMs = Least * length(Sides)
        * (?BOOT_MS + 3 * WarmupMs div 2 + ThroughputMs + LatencyMs),
    case left_ms(State) of
        LeftMs when RunMs > LeftMs ->
            finish(Settled#{ending := {failed, {latency_too_long, Rate, LatencyMs, RunMs, LeftMs}}});
        _ ->
            blocks(Settled)
    end;
settle(State) ->
    blocks(State).

-spec blocks(state()) -> result().
blocks(#{done := Done, plan := #{blocks := Done}} = State) ->
    finish(State#{ending := complete});
blocks(#{done := Done, sides := Sides, deadline_ms := DeadlineMs} = State) ->
    N = Done + 1,
    case router_bench_block:run(Sides, N, DeadlineMs) of
        {ok, Results} ->
            Measured = [Side#{blocks := Before ++ [maps:get(Role, Results)]}
                        || #{role := Role, blocks := Before} = Side <- Sides],
            Next = State#{sides := Measured, done := N},
            case save(Next) of
                {ok, Reports} ->
                    progress(Next, Reports),
                    asked(Next);
                {error, Message} ->
                    {error, {not_written, Message}}
            end;
        {error, Role, Reason} ->
            finish(State#{ending := {failed, failure({block, N}, Role, Reason, State)}})
    end.

%% With the side, where there are two.
failure(What, _Role, Reason, #{sides := [_]}) -> of_what(What, [Reason]);
failure(What, Role, Reason, _State) -> of_what(What, [Role, Reason]).

of_what(control, More) -> list_to_tuple([control | More]);
of_what({block, N}, More) -> list_to_tuple([block, N | More]).

%% Whether there is another block.
asked(#{plan := #{after_block := none}} = State) ->
    blocks(State);
asked(#{done := Done, plan := #{blocks := Done}} = State) ->
    blocks(State);
asked(#{done := Done, plan := #{after_block := Ask}} = State) ->
    case Ask(Done) of
        go_on -> blocks(State);
        stop -> finish(ended_here(State))
    end.

%% The run as if it had been planned to end with the blocks so far.
ended_here(#{done := Done, sides := Sides, plan := Plan} = State) ->
    State#{plan := Plan#{blocks := Done}, ending := complete,
           sides := [Side#{plan := Of#{blocks := Done}} || #{plan := Of} = Side <- Sides]}.

%% Reports

finish(#{ending := Ending} = State) ->
    case {save(State), Ending} of
        {{ok, Reports}, complete} ->
            print_tables(Reports, State),
            {ok, maps:get(candidate, Reports)};
        {{ok, Reports}, {failed, Reason}} ->
            print_tables(Reports, State),
            Text = router_bench_failure:sentence(Reason),
            {error, {failed, Text, maps:get(candidate, Reports)}};
        {{error, Message}, _} ->
            {error, {not_written, Message}}
    end.

%% The reports so far by role, on disk where there is a file for them.
save(#{sides := Sides} = State) ->
    save(Sides, State, #{}).

save([], _State, Reports) ->
    {ok, Reports};
save([#{role := Role, plan := #{report_file := File}} = Side | Rest], State, Reports) ->
    case router_bench_report:new(facts(Side, State)) of
        {ok, Report} ->
            case written(Report, File) of
                ok -> save(Rest, State, Reports#{Role => Report});
                {error, Message} -> {error, Message}
            end;
        {error, Message} ->
            {error, Message}
    end.

written(_Report, none) -> ok;
written(Report, File) -> router_bench:write_report(Report, File).

facts(Side, #{start_ms := StartMs} = State) ->
    Facts = maps:merge(maps:with([timestamp, ending, calibration_rps], State),
                       maps:with([git, plan, controls, blocks], Side)),
    maps:merge(Facts#{duration_ms => now_ms() - StartMs}, pairing(Side, State)).

pairing(_Side, #{sides := [_]}) ->
    #{};
pairing(#{role := Role, blocks := Blocks}, #{plan := #{seed := Seed, adapter := Adapter}}) ->
    #{pairing => #{role => Role, seed => Seed,
                   booted_first => [First || #{booted_first := First} <- Blocks],
                   alive_together => router_bench_block:alive_together(Adapter)}}.

%% On the console

announce(#{sides := [_]}) ->
    ok;
announce(#{plan := #{blocks := Blocks, seed := Seed}} = State) ->
    say(State, "at most ~b blocks of frozen build and candidate in turn, order by seed ~b; at most ~s~n",
        [Blocks, Seed, duration(left_ms(State))]).

progress(#{done := Done, plan := #{blocks := Blocks}} = State, Reports) ->
    case maps:to_list(Reports) of
        [{candidate, Report}] ->
            say(State, "block ~b of ~b: ~s~n", [Done, Blocks, figures(Report)]);
        _ ->
            say(State, "block ~b of at most ~b~n  frozen     ~s~n  candidate  ~s~n",
                [Done, Blocks | [figures(maps:get(Role, Reports)) || Role <- [frozen, candidate]]])
    end.

figures(#{blocks := Measured}) ->
    #{metrics := Metrics} = lists:last(Measured),
    Figure = fun(Key) ->
                     case Metrics of
                         #{Key := Value} -> router_bench_figures:text(Key, Value);
                         #{} -> "not measured"
                     end
             end,
    io_lib:format("~s, p95 ~s, p99 ~s, ~s",
                  [Figure(Key) || Key <- [rps, latency_p95_ms, latency_p99_ms,
                                          mem_mb_total_erlang]]).

print_tables(#{frozen := Frozen, candidate := Candidate}, State) ->
    #{git := #{commit := Commit}} = Frozen,
    say(State, "~nfrozen build of ~s~ts~ncandidate~ts",
        [Commit, router_bench_table:format(Frozen), router_bench_table:format(Candidate)]);
print_tables(#{candidate := Report}, State) ->
    say(State, "~ts", [router_bench_table:format(Report)]).

say(#{plan := #{quiet := Quiet}}, Format, Arguments) ->
    print(Quiet, io_lib:format(Format, Arguments)).

print(true, _Text) -> ok;
print(false, Text) -> io:put_chars(Text).

duration(Ms) when Ms < 120000 -> io_lib:format("~b s", [(max(0, Ms) + 999) div 1000]);
duration(Ms) -> io_lib:format("~b min", [(Ms + 59999) div 60000]).

left_ms(#{deadline_ms := DeadlineMs}) ->
    DeadlineMs - now_ms().

now_ms() ->
    erlang:monotonic_time(millisecond).

timestamp() ->
    Now = erlang:system_time(millisecond),
    list_to_binary(calendar:system_time_to_rfc3339(Now, [{unit, millisecond}, {offset, "Z"}])).
