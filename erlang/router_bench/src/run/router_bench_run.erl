%% @doc A run: controls, then blocks, each in fresh BEAMs, with the report on disk all the while.
%%
%% A run has one side, the candidate, or in a replay two: block N of the frozen build and block N of
%% the candidate are measured in turn, slice by slice, in orders that the plan's seed decides
%% ({@link router_bench_block}). So are the variants of a plan: the candidate under several values of one
%% option of its adapter. Each side has a report of its own. A planted fault is the
%% candidate's alone. A side that fails ends the run, and both reports say so.
%%
%% A report on disk is `unfinished' until the run has ended, so nobody can take what is left of a
%% killed run for a whole one. After each block but the last, a plan's `after_block' is asked, outside of
%% any measurement, and while it is the reports on disk have all blocks so far; on `stop' the run ends,
%% complete with these.
%%
%% A run has a process of its own, of which there is one in a VM; what takes its time is done by a further
%% one, so that the run hears when it is stopped, or when whoever asked for it has gone. The block that is
%% being measured then is given up, its BEAMs are ended, and the report has the blocks before it.
%% @private
-module(router_bench_run).

-export([run/1, stop/0, interrupt/2]).

%% What a BEAM takes to start and to end, about.
-define(BOOT_MS, 1000).
%% What is interrupted may be starting the next BEAM.
-define(INTERRUPT_AGAIN_MS, 100).

-type role() :: router_bench_block:role().
-type side() :: #{role := role(), plan := router_bench_plan:plan(),
                  code := router_bench_frozen:code(), git := router_bench_env:git(),
                  controls := router_bench_control:result(),
                  blocks := [router_bench_report:measured()]}.
-type state() :: #{plan := router_bench_plan:plan(), sides := [side(), ...],
                   timestamp := binary(), start_ms := integer(),
                   deadline_ms := integer(), done := non_neg_integer(),
                   caller := reference(), % monitors who asked for the run
                   measuring_ms := non_neg_integer(), % all blocks
                   calibration_rps => float(), ending := router_bench_report:ending()}.
-type result() :: {ok, router_bench_report:report()}
                | {error, {failed, Text :: binary(), router_bench_report:report()}
                        | {interrupted, router_bench_report:report()}
                        | {not_written, Message :: binary()}
                        | already_running}.

%% @doc Runs a plan; the report is the candidate's.
-spec run(router_bench_plan:plan()) -> result().
run(Plan) ->
    Caller = self(),
    Reference = make_ref(),
    {Run, Monitor} = spawn_monitor(fun() ->
        Gone = monitor(process, Caller),
        case is_only_one() of
            true ->
                Result = router_bench_glance:during(Plan, fun() -> begin_run(Plan, Gone) end),
                true = unregister(?MODULE),
                Caller ! {Reference, Result};
            false ->
                Caller ! {Reference, {error, already_running}}
        end
    end),
    receive
        {Reference, Result} ->
            true = demonitor(Monitor, [flush]),
            Result;
        {'DOWN', Monitor, process, Run, Reason} ->
            exit(Reason)
    end.

%% Two runs would measure each other.
is_only_one() ->
    try register(?MODULE, self())
    catch error:badarg -> false
    end.

%% @doc Stops the run of this VM, and waits until it has written its report and its BEAMs have gone.
-spec stop() -> ok | {error, not_running}.
stop() ->
    case whereis(?MODULE) of
        undefined ->
            {error, not_running};
        Run ->
            Monitor = monitor(process, Run),
            Run ! stop,
            receive {'DOWN', Monitor, process, Run, _} -> ok end
    end.

begin_run(#{timeout_ms := TimeoutMs} = Plan, Caller) ->
    StartMs = now_ms(),
    State = #{plan => Plan, sides => sides(Plan), caller => Caller, measuring_ms => 0,
              timestamp => timestamp(), start_ms => StartMs, deadline_ms => StartMs + TimeoutMs,
              done => 0, ending => unfinished},
    case save(State) of
        {ok, _} ->
            controls(State);
        {error, Message} ->
            {error, {not_written, Message}}
    end.

-spec sides(router_bench_plan:plan()) -> [side(), ...].
sides(#{replay := Replay, candidate := Measured} = Plan) ->
    Side = #{controls => #{}, blocks => []},
    {Code, Git} = case Measured of
                      work_tree -> {own, router_bench_place:git(Plan)};
                      #{build := Own, commit := Commit} -> {Own, #{commit => Commit, dirty => false}}
                  end,
    Candidate = Side#{role => candidate, plan => Plan, code => Code, git => Git},
    case Replay of
        none ->
            variants(Candidate, Plan);
        #{build := Build, report_file := File} ->
            [Side#{role => frozen, plan => Plan#{fault := none, report_file := File}, code => Build,
                   git => (maps:with([commit, tree], Replay))#{dirty => false}},
             Candidate]
    end.

variants(Candidate, #{variants := none}) ->
    [Candidate];
variants(Candidate, #{variants := #{option := Option, values := Values},
                      adapter_options := Given} = Plan) ->
    [Candidate#{role := {variant, Option, Value},
                plan := Plan#{adapter_options := Given#{Option => Value}, report_file := File}}
     || #{value := Value, report_file := File} <- Values].

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
    tell({step, #{activity => controls}}, State),
    case interruptible(fun() -> router_bench_control:side(Plan, Code, DeadlineMs) end,
                       State) of
        {ok, Controls} ->
            controls(Rest, [Side#{controls := Controls} | Controlled], State);
        {error, Reason} ->
            finish(State#{ending := {failed, failure(control, Role, Reason, State)}});
        {interrupted, By} ->
            interrupted(By, State)
    end.

%% A rate left open is chosen once for all sides: by the frozen one where there is one; among variants every
%% one of them must serve it.
-spec calibrate(state()) -> result().
calibrate(#{plan := #{rate_per_second := Rate, concurrency := Workers, variants := Variants},
            sides := [First | _] = Sides} = State)
  when Rate =:= calibrate; Workers =:= calibrate ->
    tell({step, #{activity => calibration}}, State),
    case Variants of
        none -> calibrate([First], [], State);
        #{} -> calibrate(Sides, [], State)
    end;
calibrate(State) ->
    settle(State).

calibrate([], Found, State) ->
    settle(calibrated(served_by_all(Found), State));
calibrate([#{plan := Plan, code := Code} | Rest], Found, #{deadline_ms := DeadlineMs} = State) ->
    case interruptible(fun() -> router_bench_calibration:find(Plan, Code, DeadlineMs) end,
                       State) of
        {ok, Of} -> calibrate(Rest, [Of | Found], State);
        {error, Reason} -> finish(State#{ending := {failed, {calibration, Reason}}});
        {interrupted, By} -> interrupted(By, State)
    end.

%% The rate of the slowest, and the workers of the one that needs most to be busy.
served_by_all(Found) ->
    Least = fun(Key) -> lists:min([Value || #{Key := Value} <- Found]) end,
    #{rps => Least(rps), rate_per_second => Least(rate_per_second),
      concurrency => lists:max([Workers || #{concurrency := Workers} <- Found])}.

%% What was given stays as it was given.
calibrated(#{rps := Rps} = Found, #{plan := Plan} = State) ->
    Open = [Key || Key <- [rate_per_second, concurrency], maps:get(Key, Plan) =:= calibrate],
    #{plan := Settled} = Planned =
        planned(fun(Of) -> maps:merge(Of, maps:with(Open, Found)) end, State),
    tell({calibrated, maps:merge(Found, maps:with([rate_per_second, concurrency], Settled))}, State),
    Planned#{calibration_rps => Rps}.

%% Changes the plan of the run and of each side.
planned(Change, #{plan := Plan, sides := Sides} = State) ->
    State#{plan := Change(Plan), sides := [maps:update_with(plan, Change, Side) || Side <- Sides]}.

%% The open loop lasts as long as its rate needs; a run that cannot end in time does not begin.
settle(#{plan := #{latency_ms := calibrate, rate_per_second := Rate}} = State) ->
    #{plan := #{latency_ms := LatencyMs, blocks := Blocks, after_block := AfterBlock}} = Settled =
        planned(fun router_bench_calibration:settled/1, State),
    % Who is asked after each block may need the first only.
    Least = case AfterBlock of
                none -> Blocks;
                _ -> 1
            end,
    RunMs = Least * block_ms(Settled),
    case left_ms(State) of
        LeftMs when RunMs > LeftMs ->
            finish(Settled#{ending := {failed, {latency_too_long, Rate, LatencyMs, RunMs, LeftMs}}});
        _ ->
            blocks(Settled)
    end;
settle(State) ->
    blocks(State).

%% What a block takes, about: by the plan, then as measured.
block_ms(#{done := 0, sides := Sides,
           plan := #{warmup_ms := WarmupMs, throughput_ms := ThroughputMs, latency_ms := LatencyMs} = Plan}) ->
    length(Sides) * (?BOOT_MS + 3 * WarmupMs div 2 + ThroughputMs + LatencyMs
                     + router_bench_recovery:phase_ms(Plan));
block_ms(#{done := Done, measuring_ms := MeasuringMs}) ->
    MeasuringMs div Done.

-spec blocks(state()) -> result().
blocks(#{done := Done, plan := #{blocks := Done}} = State) ->
    finish(State#{ending := complete});
blocks(#{done := Done, sides := Sides, deadline_ms := DeadlineMs, measuring_ms := BeforeMs} = State) ->
    N = Done + 1,
    StartMs = now_ms(),
    BlockMs = block_ms(State),
    Tell = fun(Activity) ->
                   tell({step, #{activity => Activity, block => N, block_ms => BlockMs}}, State)
           end,
    case interruptible(fun() -> router_bench_block:run(Sides, N, DeadlineMs, Tell) end, State) of
        {ok, Results} ->
            Measured = [Side#{blocks := Before ++ [maps:get(Role, Results)]}
                        || #{role := Role, blocks := Before} = Side <- Sides],
            Next = State#{sides := Measured, done := N, measuring_ms := BeforeMs + now_ms() - StartMs},
            case keep_their_transport(Measured) andalso save(Next) of
                false ->
                    finish(State#{ending := {failed, {block, N, other_transport}}});
                {ok, Reports} ->
                    tell({measured, N, [{Role, last_figures(Report)} || {Role, Report} <- Reports]}, Next),
                    asked(Next);
                {error, Message} ->
                    {error, {not_written, Message}}
            end;
        {error, Role, Reason} ->
            finish(State#{ending := {failed, failure({block, N}, Role, Reason, State)}});
        {interrupted, By} ->
            interrupted(By, State)
    end.

%% A report names one, and the sides of a replay have the same; variants may be what differs.
keep_their_transport([#{role := {variant, _, _}} | _] = Sides) ->
    lists:all(fun(Side) -> is_one_transport([Side]) end, Sides);
keep_their_transport(Sides) ->
    is_one_transport(Sides).

is_one_transport(Sides) ->
    Of = [maps:with([transport, transport_tls_version, transport_tls_cipher], Env)
          || #{blocks := Blocks} <- Sides, #{result := #{env := Env}} <- Blocks],
    length(lists:usort(Of)) =:= 1.

last_figures(#{blocks := Measured}) ->
    #{metrics := Metrics} = lists:last(Measured),
    Metrics.

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

%% Interruption

%% Does what takes its time in a process of its own, which ends with this one, and gives its answer.
interruptible(Do, #{caller := Caller, plan := Plan}) ->
    Run = self(),
    Reference = make_ref(),
    Facts = router_bench_glance:facts(),
    {Worker, Monitor} = spawn_opt(fun() ->
        ok = router_bench_glance:go_on(Facts),
        Answer = Do(),
        Run ! {Reference, Answer, router_bench_glance:facts()}
    end, [link, monitor]),
    receive
        {Reference, Answer, News} ->
            true = demonitor(Monitor, [flush]),
            ok = router_bench_glance:go_on(News),
            Answer;
        stop ->
            ok = interrupt(Worker, Monitor, Plan),
            {interrupted, stop};
        {'DOWN', Caller, process, _, _} ->
            ok = interrupt(Worker, Monitor, Plan),
            {interrupted, caller_gone}
    end.

%% @doc Ends a process that conducts BEAMs, and these, and sees all of them go. It may have none of its
%% BEAMs yet, or be between two.
-spec interrupt(pid(), reference()) -> ok.
interrupt(Worker, Monitor) ->
    interrupt(Worker, Monitor, #{node => []}).

interrupt(Worker, Monitor, Plan) ->
    true = unlink(Worker),
    ok = router_bench_place:interrupt(Worker, Plan),
    receive
        {'DOWN', Monitor, process, Worker, _} -> ok
    after ?INTERRUPT_AGAIN_MS -> interrupt(Worker, Monitor, Plan)
    end.

interrupted(stop, State) ->
    finish(State#{ending := interrupted});
interrupted(caller_gone, #{plan := Plan} = State) ->
    % With its console.
    finish(State#{ending := interrupted, plan := Plan#{quiet := true, progress := none}}).

%% Reports

finish(#{ending := Ending} = State) ->
    case {save(State), Ending} of
        {{error, Message}, _} ->
            {error, {not_written, Message}};
        {{ok, Reports}, _} ->
            tell({table, tables(Reports)}, State),
            {_Role, Report} = lists:last(Reports),
            case Ending of
                complete -> {ok, Report};
                interrupted -> {error, {interrupted, Report}};
                {failed, Reason} -> {error, {failed, router_bench_failure:sentence(Reason), Report}}
            end
    end.

%% The reports so far, each with its role, in the order of the sides and on disk where there is a file for it.
save(#{sides := Sides} = State) ->
    save(Sides, State, []).

save([], _State, Reports) ->
    {ok, lists:reverse(Reports)};
save([#{role := Role, plan := #{report_file := File}} = Side | Rest], State, Reports) ->
    case router_bench_report:new(facts(Side, State)) of
        {ok, Report} ->
            case written(Report, File) of
                ok -> save(Rest, State, [{Role, Report} | Reports]);
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

pairing(_Side, #{plan := #{replay := none}}) ->
    #{};
pairing(#{role := Role, blocks := Blocks}, #{plan := #{seed := Seed, adapter := Adapter}}) ->
    #{pairing => #{role => Role, seed => Seed,
                   booted_first => [First || #{booted_first := First} <- Blocks],
                   alive_together => router_bench_block:alive_together(Adapter)}}.

tables([{_Role, Report}]) ->
    router_bench_table:format(Report);
tables(Reports) ->
    [["\n", router_bench_failure:side(Role), of_commit(Role, Report), router_bench_table:format(Report)]
     || {Role, Report} <- Reports].

of_commit(frozen, #{git := #{commit := Commit}}) -> [" of ", Commit];
of_commit(_Role, _Report) -> "".

tell(Event, #{plan := Plan}) ->
    router_bench_progress:tell(Event, Plan).

left_ms(#{deadline_ms := DeadlineMs}) ->
    DeadlineMs - now_ms().

now_ms() ->
    erlang:monotonic_time(millisecond).

timestamp() ->
    Now = erlang:system_time(millisecond),
    list_to_binary(calendar:system_time_to_rfc3339(Now, [{unit, millisecond}, {offset, "Z"}])).
