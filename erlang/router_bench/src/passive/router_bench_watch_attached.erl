%% @doc A watch in a node that runs already, from the side of whoever conducts it: the bench is attached for as
%% long as it lasts, windows are measured there, and reports are written here, as they come.
%% @private
-module(router_bench_watch_attached).

-export([run/3]).

%% Beside the windows themselves: attaching, draining, settling.
-define(MORE_MS, 60000).
-define(CALLBACK_TIMEOUT_MS, 30000).

-type state() :: #{unwritten => binary(),
                   plan := router_bench_watch:plan(), git := router_bench_env:git(), caller := reference(),
                   reference := reference(), worker := {pid(), reference()}, is_stopped := boolean(),
                   latest := none | router_bench_report:report()}.

%% @doc Watches as a plan says, in its node, until that ends, or {@link router_bench:stop/0} or the end of the
%% monitored caller ends it.
-spec run(router_bench_watch:plan(), router_bench_env:git(), Caller :: reference()) ->
          {ok, router_bench_report:report()} | {error, term()}.
run(Plan, Git, Caller) ->
    Here = self(),
    Reference = make_ref(),
    Worker = spawn_opt(fun() ->
        Here ! {Reference, ended, attached(Plan, Git, {Here, Reference})}
    end, [link, monitor]),
    conduct(#{plan => Plan, git => Git, caller => Caller, reference => Reference, worker => Worker,
              is_stopped => false, latest => none}).

attached(#{node := Node, commit := Commit, cookie_file := CookieFile, adapter := Adapter, blocks := Blocks,
           window_ms := WindowMs, drain_timeout_ms := DrainMs} = Plan, Git, {Here, Reference} = Tell) ->
    LimitMs = Blocks * (WindowMs + DrainMs + ?CALLBACK_TIMEOUT_MS) + ?MORE_MS,
    There = Plan#{node := none, cookie_file := none, commit := none, project_dir := none,
                  report_file := none, quiet := true, progress := none, tell := Tell},
    Loaded = case Adapter of
                 none -> router_bench_bystander;
                 _ -> Adapter
             end,
    Attached = #{node => Node, cookie_file => CookieFile, adapter => Loaded, timeout_ms => LimitMs,
                 callback_timeout_ms => ?CALLBACK_TIMEOUT_MS},
    router_bench_attached:during(Attached, fun() ->
        % Who names a commit knows; a work tree may be another than what the node runs.
        _ = [Here ! {Reference, git, router_bench_attached:with_difference(Node, Git)} || Commit =:= none],
        DeadlineMs = erlang:monotonic_time(millisecond) + LimitMs,
        router_bench_attached:call(Node, router_bench_watch, run, [There], DeadlineMs)
    end).

-spec conduct(state()) -> {ok, router_bench_report:report()} | {error, term()}.
conduct(#{plan := Plan, caller := Caller, reference := Reference, worker := {Worker, Monitor}} = State) ->
    receive
        {Reference, git, Git} ->
            conduct(State#{git := Git});
        {Reference, report, Report} ->
            told(Report, State);
        {Reference, ended, Result} ->
            true = demonitor(Monitor, [flush]),
            ended(Result, State);
        stop ->
            conduct(stopped(State));
        {'DOWN', Caller, process, _, _} ->
            % With its console.
            conduct(stopped(State#{plan := Plan#{quiet := true}}));
        {'DOWN', Monitor, process, Worker, Reason} ->
            ended({error, {block_died, Reason}}, State)
    end.

told(Report, #{plan := #{node := Node} = Plan, is_stopped := IsStopped} = State) ->
    Next = State#{latest := Report},
    case written(Report, Next) of
        ok ->
            _ = [router_bench_watch:tell(router_bench_watch_report:measured(length(Blocks), Report), Plan)
                 || #{blocks := [_ | _] = Blocks, run := #{status := unfinished}} <- [Report]],
            % Who was stopped before there was anything to stop.
            _ = [stop(Node) || IsStopped, #{blocks := [], run := #{status := unfinished}} <- [Report]],
            conduct(Next);
        {error, Message} ->
            stop(Node),
            conduct(Next#{unwritten => Message})
    end.

stopped(#{plan := #{node := Node}} = State) ->
    stop(Node),
    State#{is_stopped := true}.

%% Whoever waits for the node's answer must still hear how the watch ends.
stop(Node) ->
    DeadlineMs = erlang:monotonic_time(millisecond) + ?CALLBACK_TIMEOUT_MS,
    _ = spawn(fun() -> router_bench_attached:call(Node, router_bench_watch, stop, [], DeadlineMs) end),
    ok.

ended(_Result, #{unwritten := Message}) ->
    {error, {not_written, Message}};
ended({ok, Report}, State) ->
    final({ok, with_git(Report, State)}, Report, State);
ended({error, {interrupted, Report}}, State) ->
    final({error, {interrupted, with_git(Report, State)}}, Report, State);
ended({error, {failed, Text, Report}}, State) ->
    final({error, {failed, Text, with_git(Report, State)}}, Report, State);
ended({error, Reason}, #{latest := none}) ->
    {error, Reason};
ended({error, Reason}, #{latest := #{run := Run} = Report} = State) ->
    % The node has gone, or does not answer: what it said until then is here.
    Text = router_bench_failure:sentence(Reason),
    Failed = Report#{run := Run#{status => failed, reason => Text}},
    final({error, {failed, Text, with_git(Failed, State)}}, Failed, State).

final(Result, Report, #{plan := Plan} = State) ->
    case written(Report, State) of
        ok ->
            ok = router_bench_watch:tell({table, router_bench_watch_report:table(Report)}, Plan),
            Result;
        {error, Message} ->
            {error, {not_written, Message}}
    end.

written(_Report, #{plan := #{report_file := none}}) ->
    ok;
written(Report, #{plan := #{report_file := File}} = State) ->
    router_bench:write_report(with_git(Report, State), File).

with_git(Report, #{git := Git}) ->
    Report#{git := Git}.
