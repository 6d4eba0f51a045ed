%% @doc Watches the traffic that this node has anyway, window by window, and makes a report of it.
%%
%% No request is made here. One process conducts it, of which there is one in a VM together with runs
%% ({@link router_bench:stop/0} stops either); it hears when it is stopped and when whoever asked for it has gone,
%% and the report then has the windows before. What it changes in the node is held by
%% {@link router_bench_keeper}.
%%
%% Between two windows requests that began in the first one are waited for, and those that begin meanwhile are
%% not recorded: a window's books are closed before the next one is opened.
%% @private
-module(router_bench_watch).

-export([run/1, stop/0, defaults/0, message/1, tell/2]).

-export_type([options/0, plan/0, what/0, window/0, reason/0]).

-type options() :: #{atom() => term()}.
-type plan() ::
    #{spans := [router_bench_spans:prefix()],  % event prefixes of `telemetry'
      calls := boolean(),                      % those of router_bench_mark
      answer := fun((map()) -> term()),        % of the metadata of a span's end, what was answered
      adapter := none | module(),              % tells the router's counters
      adapter_options := map(),
      blocks := pos_integer(),                 % windows, one after the other
      window_ms := pos_integer(),
      slice_ms := pos_integer(),               % least length of a slice
      drain_timeout_ms := pos_integer(),       % patience for requests at the end of a window
      sample_interval_ms := pos_integer(),
      commit := none | binary(),               % what the node runs
      project_dir := none | file:filename_all(), % or where it was built of
      report_file := none | file:filename_all(), % kept up to date after every window
      node := none | node(),                   % watch there
      cookie_file := none | file:filename_all(), % with the cookie in this file
      progress := none | fun((router_bench_progress:event()) -> term()), % told what is found, in
                                               % place of the console
      tell := none | {pid(), reference()},     % told every report, where another node conducts
      quiet := boolean()}.                     % nothing on the console
-type what() :: {spans, [router_bench_spans:prefix(), ...], fun((map()) -> term())} | calls.
-type reason() :: {unknown_option, term()} | {bad_option, atom(), term(), Expected :: string()}
                | nothing_to_watch.
%% A window as measured.
-type window() :: #{duration_ns := router_bench_nif:ns(), started := non_neg_integer(),
                    recordings_failed := non_neg_integer(),
                    slices := [map()], service_time := router_bench_nif:snapshot(),
                    accounting := map(), reasons := [router_bench_outcome:reason()],
                    samples := router_bench_sampler:samples(),
                    evidence := router_bench_evidence:evidence()}.
-type result() :: {ok, router_bench_report:report()}
                | {error, {failed, Text :: binary(), router_bench_report:report()}
                        | {interrupted, router_bench_report:report()}
                        | {not_written, Message :: binary()}
                        | already_running
                        | router_bench_attached:problem()
                        | reason()}.

%% A slice of fewer requests has a p99 of a few of them.
-define(REQUESTS_OF_A_SLICE, 1000).
%% A report has no more slices of a window.
-define(SLICES_MAX, 600).
%% Processes that were about to record when a window was closed have done so after that.
-define(SETTLE_MS, 10).
-define(SETTLED_WITHIN_MS, 2000).
-define(LOOK_MS, 5).

%% @doc The values of options that are left out.
-spec defaults() -> #{atom() => term()}.
defaults() ->
    #{spans => [],
      calls => false,
      answer => fun router_bench_spans:answer/1,
      adapter => none,
      adapter_options => #{},
      blocks => 10,
      window_ms => 60000,
      slice_ms => 250,
      drain_timeout_ms => 5000,
      sample_interval_ms => 100,
      commit => none,
      project_dir => none,
      report_file => none,
      node => none,
      cookie_file => none,
      progress => none,
      tell => none,
      quiet => false}.

%% @doc Stops the watch of this VM; what it has measured is kept.
-spec stop() -> ok | {error, not_running}.
stop() ->
    router_bench_run:stop().

%% @doc Watches, and gives the report when all windows have ended.
-spec run(options()) -> result().
run(Options) ->
    case new(Options) of
        {ok, Plan} -> run_plan(Plan);
        {error, Reason} -> {error, Reason}
    end.

%% Options

new(Options) ->
    Defaults = defaults(),
    case maps:keys(Options) -- maps:keys(Defaults) of
        [Unknown | _] -> {error, {unknown_option, Unknown}};
        [] -> check(maps:to_list(Options), maps:merge(Defaults, Options))
    end.

check([], #{spans := [], calls := false}) ->
    {error, nothing_to_watch};
check([], #{spans := [_ | _], calls := true}) ->
    {error, {bad_option, calls, true, "false where there are spans: a request would be counted twice"}};
check([], #{node := Node, answer := Answer} = Plan) ->
    case Node =:= none orelse erlang:fun_info(Answer, type) =:= {type, external} of
        true -> {ok, Plan};
        false -> {error, {bad_option, answer, Answer, "a function that the node has: fun Module:Name/1"}}
    end;
check([{Key, Value} | Rest], Plan) ->
    case is_valid(domain(Key), Value) of
        true -> check(Rest, Plan);
        false -> {error, {bad_option, Key, Value, expected(domain(Key))}}
    end.

domain(spans) -> spans;
domain(calls) -> boolean;
domain(answer) -> function;
domain(adapter) -> module;
domain(adapter_options) -> map;
domain(blocks) -> {1, 1000};
domain(window_ms) -> {100, 86400000};
domain(slice_ms) -> {10, 3600000};
domain(drain_timeout_ms) -> {1, 600000};
domain(sample_interval_ms) -> {10, 60000};
domain(commit) -> commit;
domain(project_dir) -> file;
domain(report_file) -> file;
domain(node) -> node;
domain(cookie_file) -> file;
domain(progress) -> maybe_function;
domain(tell) -> tell;
domain(quiet) -> boolean.

is_valid({Min, Max}, Value) -> is_integer(Value) andalso Value >= Min andalso Value =< Max;
is_valid(spans, Prefixes) ->
    IsPrefix = fun(Prefix) -> is_list(Prefix) andalso Prefix =/= [] andalso lists:all(fun is_atom/1, Prefix) end,
    is_list(Prefixes) andalso lists:all(IsPrefix, Prefixes)
        andalso length(lists:usort(Prefixes)) =:= length(Prefixes);
is_valid(boolean, Value) -> is_boolean(Value);
is_valid(function, Value) -> is_function(Value, 1);
is_valid(maybe_function, Value) -> Value =:= none orelse is_function(Value, 1);
is_valid(node, Value) -> is_atom(Value);
is_valid(tell, none) -> true;
is_valid(tell, {Pid, Reference}) -> is_pid(Pid) andalso is_reference(Reference);
is_valid(tell, _) -> false;
is_valid(module, none) -> true;
is_valid(module, Module) ->
    is_atom(Module) andalso element(1, code:ensure_loaded(Module)) =:= module
        andalso lists:all(fun({Name, Arity}) -> erlang:function_exported(Module, Name, Arity) end,
                          [{init, 1}, {counters, 1}]);
is_valid(map, Value) -> is_map(Value);
is_valid(commit, none) -> true;
is_valid(commit, Commit) ->
    is_binary(Commit) andalso re:run(Commit, "\\A[0-9a-f]{40}\\z", [{capture, none}]) =:= match;
is_valid(file, Value) -> Value =:= none orelse is_binary(Value) orelse is_list(Value).

expected({Min, Max}) -> lists:flatten(io_lib:format("a whole number from ~b to ~b", [Min, Max]));
expected(spans) -> "a list of event prefixes, such as [[my_app, router, route]], each once";
expected(boolean) -> "true or false";
expected(function) -> "a function of one argument";
expected(maybe_function) -> "none or a function of one argument";
expected(node) -> "none or a node";
expected(tell) -> "none";
expected(module) -> "none or a module that is an adapter: init/1 and counters/1 at least";
expected(map) -> "a map";
expected(commit) -> "40 lower-case hexadecimal digits, as a binary";
expected(file) -> "none or a file name".

%% @doc Why options are not taken, in words.
-spec message(reason()) -> string().
message({unknown_option, Key}) ->
    Known = lists:join(" ", [atom_to_list(K) || K <- maps:keys(defaults())]),
    lists:flatten(io_lib:format("unknown option ~0p; the options are: ~s", [Key, Known]));
message({bad_option, Key, Value, Expected}) ->
    lists:flatten(io_lib:format("option ~s is ~0tp; expected ~ts", [Key, Value, Expected]));
message(nothing_to_watch) ->
    "nothing to watch: give spans, or calls => true for the calls of router_bench_mark".

%% The watching process

run_plan(Plan) ->
    Caller = self(),
    Reference = make_ref(),
    {Watch, Monitor} = spawn_monitor(fun() ->
        process_flag(trap_exit, true),
        Gone = monitor(process, Caller),
        case is_only_one() of
            true ->
                Result = watch(Plan, Gone),
                true = unregister(router_bench_run),
                Caller ! {Reference, Result};
            false ->
                Caller ! {Reference, {error, already_running}}
        end
    end),
    receive
        {'DOWN', Monitor, process, Watch, Reason} ->
            receive {Reference, Result} -> Result
            after 0 -> exit(Reason)
            end
    end.

%% A run and a watch would measure each other.
is_only_one() ->
    try register(router_bench_run, self())
    catch error:badarg -> false
    end.

watch(#{node := Node} = Plan, Caller) when Node =/= none ->
    router_bench_watch_attached:run(Plan, git(Plan), Caller);
watch(#{adapter := Adapter, adapter_options := Options} = Plan, Caller) ->
    State = #{plan => Plan, git => git(Plan), caller => Caller, start_ms => now_ms(), windows => [],
              timestamp => timestamp(), ending => unfinished},
    case save(State) of
        {ok, _} ->
            Keeper = router_bench_keeper:start(case Adapter of
                                                   none -> none;
                                                   _ -> {Adapter, Options}
                                               end),
            Ended = try watched(State#{keeper => Keeper})
                    after ok = router_bench_keeper:take_back(Keeper)
                    end,
            finish(Ended);
        {error, Message} ->
            {error, {not_written, Message}}
    end.

git(#{project_dir := Dir, commit := Commit}) ->
    case {Commit, Dir} of
        {none, none} -> #{};
        {none, _} -> router_bench_env:git(Dir);
        {_, _} -> #{commit => Commit, dirty => false}
    end.

%% All windows, or as many as there were until something ended it.
watched(#{plan := Plan, keeper := {Pid, Monitor} = Keeper} = State) ->
    What = what(Plan),
    try
        Held = receive
                   {Pid, ready, Ready} -> Ready;
                   {Pid, failed, Reason} -> throw({failed, Reason});
                   {'DOWN', Monitor, process, Pid, Reason} -> throw({failed, {keeper_died, Reason}})
               after 30000 -> throw({failed, {no_return, {maps:get(adapter, Plan), init, 1}, 30000}})
               end,
        CostNs = router_bench_watch_cost:measure(What),
        Recording = router_bench_recording:new(source(What)),
        case router_bench_keeper:record(Keeper, What, Recording) of
            ok -> windows(1, State#{held => Held, recording => Recording, cost_ns => CostNs});
            {error, Failed} -> throw({failed, Failed})
        end
    catch
        throw:{ended, Ending, So} -> So#{ending := Ending};
        throw:{failed, Why} -> State#{ending := {failed, Why}}
    end.

what(#{spans := [], calls := true}) -> calls;
what(#{spans := Prefixes, answer := Answer}) -> {spans, Prefixes, Answer}.

source(calls) -> calls;
source({spans, _, _}) -> spans.

windows(N, #{plan := #{blocks := Blocks}} = State) when N > Blocks ->
    State#{ending := complete};
windows(N, #{plan := Plan, windows := Before} = State) ->
    Window = try window(State)
             catch throw:{failed, Reason} -> throw({ended, {failed, {block, N, Reason}}, State})
             end,
    Next = State#{windows := Before ++ [Window], env => router_bench_env:vm(),
                  clock => clock(what(Plan))},
    case save(Next) of
        {ok, Report} ->
            tell(router_bench_watch_report:measured(N, Report), Plan),
            windows(N + 1, Next);
        {error, Message} ->
            throw({ended, {not_written, Message}, State})
    end.

%% A window, whose books are closed when this returns.
window(#{plan := #{window_ms := WindowMs, sample_interval_ms := IntervalMs},
         held := {Adapter, AdapterState}, recording := Recording} = State) ->
    Evidence = router_bench_evidence:open(without_kernels),
    Before = router_bench_recording:counts(Recording),
    RecordedBefore = router_bench_recording:recorded(Recording),
    Sampler = router_bench_sampler:start_link(Adapter, AdapterState, IntervalMs),
    try
        Watching = router_bench_evidence:resume(Evidence),
        ok = router_bench_sampler:resume(Sampler),
        ok = router_bench_recording:open(Recording),
        Slices = slices(now_ms() + WindowMs, now_ms(), Before, [], State),
        DurationNs = router_bench_recording:close(Recording),
        ok = router_bench_sampler:pause(Sampler),
        Seen = router_bench_evidence:pause(Watching),
        ok = drained(Before, State),
        ok = router_bench_recording:forget(Recording),
        Samples = router_bench_sampler:stop(Sampler),
        ok = is_attached(State),
        After = settled(Before, RecordedBefore, State),
        Last = slice(Recording),
        window_of(DurationNs, [Last | Slices], Before, After, Recording,
                  #{samples => Samples, evidence => router_bench_evidence:close(Seen)})
    catch
        exit:Reason -> throw({failed, Reason})
    after
        ok = router_bench_recording:forget(Recording),
        ended(Sampler)
    end.

%% A sampler that was not stopped; what it took of the VM it gives back then.
ended(Sampler) ->
    case is_process_alive(Sampler) of
        true ->
            exit(Sampler, kill),
            receive {'EXIT', Sampler, _} -> ok end;
        false ->
            ok
    end.

%% Waits for the end of the window, and takes slices on the way, the latest first. What is left at the end is
%% a slice too, so the last one that is taken leaves time for it.
slices(EndMs, BeganMs, Counted, Slices, #{plan := Plan, recording := Recording} = State) ->
    #{slice_ms := SliceMs, window_ms := WindowMs} = Plan,
    StepMs = max(SliceMs, WindowMs div ?SLICES_MAX),
    ok = wait(min(EndMs, now_ms() + StepMs), State),
    NowMs = now_ms(),
    case router_bench_recording:counts(Recording) of
        _ when NowMs >= EndMs ->
            Slices;
        #{ended := Ended} = Counts ->
            #{ended := Before} = Counted,
            case Ended - Before >= ?REQUESTS_OF_A_SLICE andalso EndMs - NowMs >= NowMs - BeganMs of
                true -> slices(EndMs, NowMs, Counts, [slice(Recording) | Slices], State);
                false -> slices(EndMs, BeganMs, Counted, Slices, State)
            end
    end.

slice(Recording) ->
    #{count := Ok} = Figures = router_bench_recording:slice(Recording),
    (maps:with([p50_ns, p95_ns, p99_ns], Figures))#{ok => Ok}.

%% Waits until nothing that began in the window goes on, or patience ends.
drained(Before, #{plan := #{drain_timeout_ms := DrainMs}} = State) ->
    drained(now_ms() + DrainMs, Before, State).

drained(LastMs, Before, #{recording := Recording} = State) ->
    case unanswered(grown(Before, router_bench_recording:counts(Recording))) of
        0 ->
            ok;
        _ ->
            case now_ms() >= LastMs of
                true ->
                    ok;
                false ->
                    ok = wait(now_ms() + ?LOOK_MS, State),
                    drained(LastMs, Before, State)
            end
    end.

%% Requests that began and of which nothing was heard again.
unanswered(#{started := Started, ended := Ended, failed := Failed}) ->
    max(0, Started - Ended - Failed).

grown(Before, After) ->
    maps:map(fun(Key, Count) -> Count - maps:get(Key, Before) end, After).

%% Nobody records any more: every end that was counted has become a time or a failure, or one is lost.
settled(Before, RecordedBefore, State) ->
    settled(now_ms() + ?SETTLED_WITHIN_MS, Before, RecordedBefore, State).

settled(LastMs, Before, RecordedBefore, #{recording := Recording} = State) ->
    ok = wait(now_ms() + ?SETTLE_MS, State),
    After = router_bench_recording:counts(Recording),
    Ok = router_bench_recording:recorded(Recording) - RecordedBefore,
    #{ended := Ended, error := Error, timeout := Timeout, rejected := Rejected} = grown(Before, After),
    case Ended - (Ok + Error + Timeout + Rejected) of
        0 -> After;
        Lost ->
            case now_ms() >= LastMs of
                true -> throw({failed, {requests_lost, Lost, grown(Before, After)}});
                false -> settled(LastMs, Before, RecordedBefore, State)
            end
    end.

window_of(DurationNs, Latest, Before, After, Recording, Seen) ->
    #{started := Started, failed := Failed, error := Error, timeout := Timeout,
      rejected := Rejected} = Grown = grown(Before, After),
    Unanswered = unanswered(Grown),
    {#{count := Ok} = Times, Reasons} = router_bench_recording:window(Recording, Unanswered),
    Accounting = #{ok => Ok, error => Error, timeout => Timeout + Unanswered, rejected => Rejected,
                   skipped => 0, offered => Ok + Error + Timeout + Unanswered + Rejected},
    Slices = case lists:reverse(Latest) of
                 [Only] -> [Only];
                 Several -> [Slice || #{ok := Served} = Slice <- Several, Served > 0]
             end,
    Seen#{duration_ns => DurationNs, started => Started, recordings_failed => Failed,
          slices => Slices, service_time => Times, accounting => Accounting, reasons => Reasons}.

is_attached(#{plan := #{spans := []}}) ->
    ok;
is_attached(#{plan := #{spans := Prefixes}}) ->
    case router_bench_spans:is_attached(Prefixes) of
        true -> ok;
        false -> throw({failed, handler_detached})
    end.

%% Hears what may end a watch while it waits.
wait(UntilMs, #{caller := Caller, keeper := {Keeper, Monitor}} = State) ->
    receive
        stop ->
            throw({ended, interrupted, State});
        {'DOWN', Caller, process, _, _} ->
            throw({ended, interrupted, gone(State)});
        {'DOWN', Monitor, process, Keeper, Reason} ->
            throw({failed, {keeper_died, Reason}});
        {'EXIT', _Linked, Reason} when Reason =/= normal ->
            throw({failed, {sampler_died, Reason}});
        {recording_failed, Class, Reason, Stack} ->
            Text = router_bench_failure:sentence({recording_failed, Class, Reason, Stack}),
            logger:warning("router_bench: ~ts", [Text]),
            wait(UntilMs, State)
    after max(0, UntilMs - now_ms()) ->
            ok
    end.

%% Whoever asked has gone, and the console with it.
gone(#{plan := Plan} = State) ->
    State#{plan := Plan#{quiet := true}}.

%% Reports

finish(#{ending := {not_written, Message}}) ->
    {error, {not_written, Message}};
finish(#{ending := Ending, plan := Plan} = State) ->
    case {save(State), Ending} of
        {{ok, Report}, complete} ->
            tell({table, router_bench_watch_report:table(Report)}, Plan),
            {ok, Report};
        {{ok, Report}, interrupted} ->
            tell({table, router_bench_watch_report:table(Report)}, Plan),
            {error, {interrupted, Report}};
        {{ok, Report}, {failed, Reason}} ->
            tell({table, router_bench_watch_report:table(Report)}, Plan),
            {error, {failed, router_bench_failure:sentence(Reason), Report}};
        {{error, Message}, _} ->
            {error, {not_written, Message}}
    end.

save(#{plan := #{report_file := File, tell := Tell}, start_ms := StartMs} = State) ->
    Facts = (maps:with([timestamp, git, plan, windows, ending, env, clock, cost_ns], State))#{
              duration_ms => now_ms() - StartMs},
    case router_bench_watch_report:new(Facts) of
        {ok, Report} when File =:= none ->
            _ = [Conductor ! {Reference, report, Report} || {Conductor, Reference} <- [Tell]],
            {ok, Report};
        {ok, Report} ->
            case router_bench:write_report(Report, File) of
                ok -> {ok, Report};
                {error, Message} -> {error, Message}
            end;
        {error, Message} -> {error, Message}
    end.

%% @doc Tells what was found: to whom the plan says, else on the console.
-spec tell({window, pos_integer(), Figures :: map(), unicode:chardata()} | {table, unicode:chardata()},
           plan()) -> ok.
tell({window, N, Figures, _Text}, #{progress := Tell}) when Tell =/= none ->
    _ = Tell({measured, N, #{candidate => Figures}}),
    ok;
tell({table, _Table} = Event, #{progress := Tell}) when Tell =/= none ->
    _ = Tell(Event),
    ok;
tell(_Event, #{quiet := true}) ->
    ok;
tell(Event, _Plan) ->
    Text = element(tuple_size(Event), Event),
    % A console that has gone ends no watch.
    try io:put_chars(Text)
    catch error:_ -> ok
    end.

%% The clock that timed the requests: spans bring their times.
clock(calls) ->
    router_bench_env:clock();
clock({spans, _, _}) ->
    Source = erlang:system_info(os_monotonic_time_source),
    PerSecond = proplists:get_value(resolution, Source, 1000000000),
    #{source => <<"erlang:monotonic_time/0">>, resolution_ns => 1.0e9 / PerSecond,
      read_cost_ns => router_bench_watch_cost:reading_ns()}.

now_ms() ->
    erlang:monotonic_time(millisecond).

timestamp() ->
    Now = erlang:system_time(millisecond),
    list_to_binary(calendar:system_time_to_rfc3339(Now, [{unit, millisecond}, {offset, "Z"}])).
