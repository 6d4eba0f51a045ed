%% @doc Measures a message router inside its own BEAM.
%%
%% ```
%% 1> router_bench:run(ref_router_adapter).
%% 2> {ok, Report} = router_bench:run(#{adapter => my_adapter, blocks => 3}).
%% 3> router_bench:write_report(Report, "_artifacts/mine.json").
%% 4> spawn(fun() -> router_bench:run(#{adapter => my_adapter, report_file => "mine.json"}) end).
%% 5> router_bench:stop().
%% '''
-module(router_bench).

-export([run/1, attach/1, watch/1, stop/0, find_rate/1, top/0, write_report/2]).

%% @doc Runs the plan of some options, or the default plan of an adapter. Prints progress and a
%% table.
%%
%% `{error, {failed, Text, Report}}': a block ended early; the report has what was measured until
%% then. With option `report_file' the report is on disk from the start, marked unfinished, and is
%% replaced after every block: whatever ends this VM, what is left says how far the run came.
%%
%% `{error, {interrupted, Report}}': {@link stop/0} was called; the report has the blocks until then. Where
%% the caller ends instead (an exit, or `Ctrl-G', `k' in a shell), the same report is in `report_file'.
%%
%% With option `replay' a frozen build is measured in turn with the candidate; the report is the
%% candidate's, and that of the frozen side is in its own file.
-spec run(module() | router_bench_plan:options()) ->
          {ok, router_bench_report:report()}
        | {error, {failed, Text :: binary(), router_bench_report:report()}
                | {interrupted, router_bench_report:report()}
                | {not_written, Message :: binary()}
                | already_running
                | router_bench_plan:reason()}.
run(Adapter) when is_atom(Adapter) ->
    run(#{adapter => Adapter});
run(#{node := Node}) ->
    refused({bad_option, node, Node, "no node: router_bench:attach/1 measures in one that runs already"});
run(Options) when is_map(Options) ->
    case router_bench_plan:new(Options) of
        {ok, Plan} -> router_bench_run:run(Plan);
        {error, Reason} -> refused(Reason)
    end.

%% @doc Runs the plan of some options in `node', which runs already: another node, or this one. The
%% load must be named: `rate_per_second' and `concurrency'. A list of nodes is one of routers, which the drivers
%% in `nodes' reach.
%%
%% To another node this VM connects as a hidden one, with the cookie in `cookie_file' (default:
%% `.erlang.cookie' in the home directory); the bench's code, the adapter and the native library are loaded
%% there for as long as it lasts, and everything is taken back at the end, also when this VM dies or the
%% connection is cut. `init/1' of the adapter gets `attached => true'. Controls, faults and `terminate/1' take
%% `attach_allow => [control, fault, terminate]' or some of these.
%%
%% ```
%% 1> router_bench:attach(#{node => 'router@host', adapter => my_adapter, rate_per_second => 500,
%%                          concurrency => 2, report_file => "live.json"}).
%% '''
-spec attach(router_bench_plan:options()) ->
          {ok, router_bench_report:report()}
        | {error, {failed, Text :: binary(), router_bench_report:report()}
                | {interrupted, router_bench_report:report()}
                | {not_written, Message :: binary()}
                | already_running
                | router_bench_attached:problem()
                | router_bench_plan:reason()}.
attach(#{node := Node} = Options) when Node =/= none, Node =/= [] ->
    case router_bench_plan:new(Options) of
        {ok, Plan} ->
            case router_bench_place:during(Plan, fun() -> router_bench_run:run(Plan) end) of
                {error, {not_attached, _, _} = Reason} ->
                    io:format("~ts~n", [router_bench_failure:sentence(Reason)]),
                    {error, Reason};
                Result ->
                    Result
            end;
        {error, Reason} ->
            refused(Reason)
    end;
attach(Options) when is_map(Options) ->
    refused({missing_option, node}).

refused(Reason) ->
    io:format("~ts~n", [router_bench_plan:message(Reason)]),
    {error, Reason}.

%% @doc Watches the traffic that this node has anyway: no request is made. Durations come from the spans of
%% `telemetry' with some event prefixes, or from two calls in the router's code ({@link router_bench_mark}).
%%
%% ```
%% router_bench:watch(#{spans => [[my_app, router, route]], window_ms => 60000, blocks => 10,
%%                      report_file => "watched.json"}).
%% router_bench:watch(#{calls => true}).
%% router_bench:watch(#{calls => true, node => 'router@host'}).
%% '''
%%
%% Ends by itself after so many windows, by {@link stop/0}, and with its caller; what was measured is kept, and
%% everything that was changed in the node is taken back. With `node' (and `cookie_file') that is another node, as in {@link attach/1}. Options, and what such a report can say:
%% `docs/live_nodes.md'. Prints what each recording cost.
-spec watch(router_bench_watch:options()) ->
          {ok, router_bench_report:report()}
        | {error, {failed, Text :: binary(), router_bench_report:report()}
                | {interrupted, router_bench_report:report()}
                | {not_written, Message :: binary()}
                | already_running
                | router_bench_attached:problem()
                | router_bench_watch:reason()}.
watch(Options) when is_map(Options) ->
    case router_bench_watch:run(Options) of
        {error, {not_attached, _, _} = Reason} ->
            io:format("~ts~n", [router_bench_failure:sentence(Reason)]),
            {error, Reason};
        {error, Reason} = Error when Reason =:= nothing_to_watch; element(1, Reason) =:= unknown_option;
                                     element(1, Reason) =:= bad_option ->
            io:format("~ts~n", [router_bench_watch:message(Reason)]),
            Error;
        Result ->
            Result
    end.

%% @doc Stops the run or the watch of this VM from another process, and waits until its report is written and its BEAMs
%% have gone. What was measured until then is kept, in a report whose `run.status' is `interrupted'.
-spec stop() -> ok | {error, not_running}.
stop() ->
    router_bench_run:stop().

%% @doc Finds the highest arrival rate at which p99 of the response time stays at or under
%% `p99_limit_us' (default 1,000) with no arrival skipped, to 5 %. Each trial runs for `latency_ms', by all
%% `nodes' together where there are some; choose a rate well below what this finds.
-spec find_rate(module() | router_bench_plan:options()) ->
          {ok, router_bench_rate:result()} | {error, term()}.
find_rate(Adapter) when is_atom(Adapter) ->
    find_rate(#{adapter => Adapter});
find_rate(Options) when is_map(Options) ->
    case router_bench_plan:new(Options) of
        {ok, #{timeout_ms := TimeoutMs} = Plan} ->
            DeadlineMs = erlang:monotonic_time(millisecond) + TimeoutMs,
            router_bench_glance:during(Plan, fun() -> router_bench_rate:find(Plan, DeadlineMs) end);
        {error, Reason} ->
            refused(Reason)
    end.

%% @doc Shows what runs in this VM, refreshed in place every second: where it is, what the router is
%% offered and serves, latency so far, run queue, memory, mailboxes, time left. From another job of the
%% shell than that of {@link run/1} (Ctrl-G, `s', `c'). `q' and Enter ends it, and not the run, as does
%% the end of its job; nothing stays behind. The measured BEAM is asked once a second, and answers with
%% what it has counted anyway.
-spec top() -> ok.
top() -> router_bench_top:run().

%% @doc Writes a report as JSON, after the checks that the gate makes when it reads one.
-spec write_report(router_bench_report:report(), file:filename_all()) ->
          ok | {error, Message :: binary()}.
write_report(Report, Path) ->
    router_bench_nif:report_write(unicode:characters_to_binary(Path), Report).
