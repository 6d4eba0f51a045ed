%% @doc A run: controls, then rounds, each in a fresh BEAM, with the report on disk all the while.
%%
%% A run has one side, the candidate, or in a replay two: round N of the frozen build and round N of
%% the candidate are a pair, measured one after the other, in an order that the plan's seed decides
%% ({@link router_bench_pairs}). Each side has a report of its own. A planted fault is the
%% candidate's alone. A side that fails ends the run, and both reports say so.
%%
%% <b>Looks.</b> A report on disk is `unfinished' until the run has ended, so nobody can take what
%% is left of a killed run for a whole one. After as many rounds as the plan's `looks' say, copies
%% that end there, complete, are put beside the reports, under their names with `.look' appended;
%% the plan's `look_command' is run with `--candidate FILE' and, in a replay, `--replay FILE' added
%% to its arguments; and the copies are removed. Exit status 75 (EX_TEMPFAIL): undecided, on to the
%% next look. Any other: the run ends, complete with the rounds so far. A command that cannot be
%% started or does not end fails the run. No look is taken after the last round, which is judged by
%% whoever started the run, and the run ends at a look if the time left is too short for the next.
-module(router_bench_run).

-export([run/1, look_file/1]).

%% A verdict takes about a second.
-define(LOOK_TIMEOUT_MS, 60000).
%% What rounds may take longer than the longest so far, when the time to the next look is judged.
-define(ROUND_RESERVE, 1.25).

%% What a BEAM takes to start and to end, about.
-define(BOOT_MS, 1000).

-type role() :: frozen | candidate.
-type side() :: #{role := role(), plan := router_bench_plan:plan(),
                  code := router_bench_frozen:code(), git := router_bench_env:git(),
                  controls := router_bench_control:result(),
                  rounds := [router_bench_round:result()]}.
-type state() :: #{plan := router_bench_plan:plan(), sides := [side(), ...],
                   frozen_first := [boolean()], timestamp := binary(), start_ms := integer(),
                   deadline_ms := integer(), done := non_neg_integer(),
                   longest_ms := non_neg_integer(), calibration_rps => float(), ending := router_bench_report:ending()}.
-type result() :: {ok, router_bench_report:report()}
                | {error, {failed, Text :: binary(), router_bench_report:report()}
                        | {not_written, Message :: binary()}}.

%% @doc Runs a plan; the report is the candidate's.
-spec run(router_bench_plan:plan()) -> result().
run(#{seed := Seed, rounds := Rounds, timeout_ms := TimeoutMs} = Plan) ->
    StartMs = now_ms(),
    State = #{plan => Plan, sides => sides(Plan),
              frozen_first => router_bench_pairs:frozen_first(Seed, Rounds),
              timestamp => timestamp(), start_ms => StartMs, deadline_ms => StartMs + TimeoutMs,
              done => 0, longest_ms => 0, ending => unfinished},
    case save(State) of
        {ok, _} ->
            announce(State),
            controls(State);
        {error, Message} ->
            {error, {not_written, Message}}
    end.

%% @doc Where the copy of a report is while a look is taken.
-spec look_file(file:filename_all()) -> file:filename_all().
look_file(File) when is_binary(File) -> <<File/binary, ".look">>;
look_file(File) -> File ++ ".look".

-spec sides(router_bench_plan:plan()) -> [side(), ...].
sides(#{adapter := Adapter, replay := Replay} = Plan) ->
    Side = #{controls => #{}, rounds => []},
    Candidate = Side#{role => candidate, plan => Plan, code => own,
                      git => router_bench_env:git(filename:dirname(code:which(Adapter)))},
    case Replay of
        none ->
            [Candidate];
        #{build := Build, report_file := File} ->
            [Side#{role => frozen, plan => Plan#{fault := none, report_file := File}, code => Build,
                   git => (maps:with([commit, tree], Replay))#{dirty => false}},
             Candidate]
    end.

%% Controls and rounds

-spec controls(state()) -> result().
controls(#{plan := #{control := false}} = State) ->
    calibrate(State);
controls(#{sides := Sides} = State) ->
    case each_side(controlled, fun control/2, [Role || #{role := Role} <- Sides], State) of
        {ok, Next} -> calibrate(Next);
        {error, Reason} -> finish(State#{ending := {failed, Reason}})
    end.

control(#{plan := Plan, code := Code} = Side, DeadlineMs) ->
    case router_bench_peer:run(router_bench_control, Plan, Code, DeadlineMs) of
        {ok, Controls} -> {ok, Side#{controls := Controls}};
        {error, Reason} -> {error, Reason}
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
    #{rounds := Rounds, looks := Looks, warmup_ms := WarmupMs, throughput_ms := ThroughputMs} = Plan,
    RunMs = hd(Looks ++ [Rounds]) * length(Sides)
        * (?BOOT_MS + 3 * WarmupMs div 2 + ThroughputMs + LatencyMs),
    case left_ms(State) of
        LeftMs when RunMs > LeftMs ->
            finish(Settled#{ending := {failed, {latency_too_long, Rate, LatencyMs, RunMs, LeftMs}}});
        _ ->
            rounds(Settled)
    end;
settle(State) ->
    rounds(State).

-spec rounds(state()) -> result().
rounds(#{done := Done, plan := #{rounds := Done}} = State) ->
    finish(State#{ending := complete});
rounds(#{done := Done, frozen_first := FrozenFirst, longest_ms := LongestMs} = State) ->
    N = Done + 1,
    StartMs = now_ms(),
    case each_side({round, N}, fun round_of/2, order(lists:nth(N, FrozenFirst), State), State) of
        {ok, Measured} ->
            Next = Measured#{done := N, longest_ms := max(LongestMs, now_ms() - StartMs)},
            case save(Next) of
                {ok, Reports} ->
                    progress(Next, Reports),
                    look(Next);
                {error, Message} ->
                    {error, {not_written, Message}}
            end;
        {error, Reason} ->
            finish(State#{ending := {failed, Reason}})
    end.

round_of(#{plan := Plan, code := Code, rounds := Rounds} = Side, DeadlineMs) ->
    case router_bench_peer:run(router_bench_round, Plan, Code, DeadlineMs) of
        {ok, Result} -> {ok, Side#{rounds := Rounds ++ [Result]}};
        {error, Reason} -> {error, Reason}
    end.

-spec order(FrozenFirst :: boolean(), state()) -> [role()].
order(_, #{sides := [#{role := candidate}]}) -> [candidate];
order(true, _State) -> [frozen, candidate];
order(false, _State) -> [candidate, frozen].

%% Does something for each side in some order; the first error ends it and says which side it was.
each_side(_What, _Do, [], State) ->
    {ok, State};
each_side(What, Do, [Role | Rest], #{sides := Sides, deadline_ms := DeadlineMs} = State) ->
    [Side] = [S || #{role := R} = S <- Sides, R =:= Role],
    case Do(Side, DeadlineMs) of
        {ok, Done} ->
            Updated = [case R of Role -> Done; _ -> S end || #{role := R} = S <- Sides],
            each_side(What, Do, Rest, State#{sides := Updated});
        {error, Reason} ->
            {error, failure(What, Role, Reason, State)}
    end.

failure(What, _Role, Reason, #{sides := [_]}) -> of_what(What, [Reason]);
failure(What, Role, Reason, _State) -> of_what(What, [Role, Reason]).

of_what(controlled, More) -> list_to_tuple([control | More]);
of_what({round, N}, More) -> list_to_tuple([round, N | More]).

%% Looks

look(#{done := Done, plan := #{looks := Looks, rounds := Rounds}} = State) ->
    case Done < Rounds andalso lists:member(Done, Looks) of
        true -> taken(State);
        false -> rounds(State)
    end.

taken(#{plan := #{look_command := Command, quiet := Quiet}, sides := Sides} = State) ->
    Files = [{Role, look_file(File)} || #{role := Role, plan := #{report_file := File}} <- Sides],
    LeftMs = left_ms(State),
    TimeoutMs = min(?LOOK_TIMEOUT_MS, LeftMs),
    try write_look(State) of
        ok when LeftMs > 0 ->
            case router_bench_look:run(Command, look_arguments(Files), TimeoutMs) of
                {ok, Answer, Output} ->
                    print(Quiet, Output),
                    answered(Answer, State);
                {error, Reason} ->
                    finish(State#{ending := {failed, {look, maps:get(done, State), Reason}}})
            end;
        ok ->
            finish(ended_here(State));
        {error, Message} ->
            {error, {not_written, Message}}
    after
        lists:foreach(fun({_, File}) -> file:delete(File) end, Files)
    end.

look_arguments(Files) ->
    lists:append([[case Role of candidate -> "--candidate"; frozen -> "--replay" end, File]
                  || {Role, File} <- Files]).

write_look(State) ->
    #{sides := Sides} = Ended = ended_here(State),
    AsLook = [Side#{plan := Plan#{report_file := look_file(File)}}
              || #{plan := #{report_file := File} = Plan} = Side <- Sides],
    case save(Ended#{sides := AsLook}) of
        {ok, _} -> ok;
        {error, Message} -> {error, Message}
    end.

answered(stop, State) ->
    say(State, "the look decides: no more rounds~n", []),
    finish(ended_here(State));
answered(go_on, #{done := Done, plan := #{looks := Looks, rounds := Rounds},
                  longest_ms := LongestMs} = State) ->
    Next = hd([Look || Look <- Looks ++ [Rounds], Look > Done]),
    NeededMs = round((Next - Done) * LongestMs * ?ROUND_RESERVE),
    case left_ms(State) > NeededMs of
        true ->
            rounds(State);
        false ->
            say(State, "undecided, and too little time for another look: ~s left, ~s needed~n",
                [duration(left_ms(State)), duration(NeededMs)]),
            finish(ended_here(State))
    end.

%% The run as if it had been planned to end with the rounds so far.
ended_here(#{done := Done, sides := Sides, plan := Plan} = State) ->
    State#{plan := Plan#{rounds := Done}, ending := complete,
           sides := [Side#{plan := Of#{rounds := Done}} || #{plan := Of} = Side <- Sides]}.

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
    Report = router_bench_report:new(facts(Side, State)),
    Written = case File of
                  none -> ok;
                  _ -> router_bench:write_report(Report, File)
              end,
    case Written of
        ok -> save(Rest, State, Reports#{Role => Report});
        {error, Message} -> {error, Message}
    end.

facts(#{rounds := Rounds} = Side, #{start_ms := StartMs} = State) ->
    Facts = maps:merge(maps:with([timestamp, ending, calibration_rps], State),
                       maps:with([git, plan, controls, rounds], Side)),
    maps:merge(Facts#{duration_ms => now_ms() - StartMs}, pairing(Side, length(Rounds), State)).

pairing(_Side, _Rounds, #{sides := [_]}) ->
    #{};
pairing(#{role := Role}, Rounds, #{plan := #{seed := Seed}, frozen_first := FrozenFirst}) ->
    WentFirst = [First =:= (Role =:= frozen) || First <- lists:sublist(FrozenFirst, Rounds)],
    #{pairing => #{role => Role, seed => Seed, went_first => WentFirst}}.

%% On the console

announce(#{plan := #{replay := none, looks := []}}) ->
    ok;
announce(#{plan := #{rounds := Rounds, looks := Looks, seed := Seed}} = State) ->
    Order = case State of
                #{sides := [_]} -> "";
                #{} -> io_lib:format(" of frozen build and candidate, order by seed ~b", [Seed])
            end,
    Before = [integer_to_list(Look) || Look <- Looks, Look < Rounds],
    say(State, "at most ~b ~s~s~s; at most ~s~n",
        [Rounds, plural(unit(State)), Order,
         [[", looks after ", lists:join(", ", Before)] || Before =/= []],
         duration(left_ms(State))]).

progress(#{done := Done, plan := #{rounds := Rounds, looks := Looks}} = State, Reports) ->
    Ends = [Look || Look <- Looks, Look < Rounds] ++ [Rounds],
    Number = length([End || End <- Ends, End < Done]) + 1,
    To = case length(Ends) of
             1 -> io_lib:format("~b", [Rounds]);
             Count -> io_lib:format("~b (look ~b of ~b; at most ~s more)",
                                    [lists:nth(Number, Ends), Number, Count,
                                     duration(left_ms(State))])
         end,
    case maps:to_list(Reports) of
        [{candidate, Report}] ->
            say(State, "~s ~b of ~s: ~s~n", [unit(State), Done, To, figures(Report)]);
        _ ->
            say(State, "~s ~b of ~s~n  frozen     ~s~n  candidate  ~s~n",
                [unit(State), Done, To | [figures(maps:get(Role, Reports))
                                          || Role <- [frozen, candidate]]])
    end.

unit(#{sides := [_]}) -> "round";
unit(#{}) -> "pair".

plural(Unit) -> Unit ++ "s".

figures(#{rounds := Measured}) ->
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
