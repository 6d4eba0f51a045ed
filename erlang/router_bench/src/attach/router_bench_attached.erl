%% @doc A node that runs already, from the side of whoever conducts the run.
%%
%% One guardian is there for a whole run ({@link router_bench_guardian}); a block begins and ends with
%% nothing of the bench running in the node.
%% @private
-module(router_bench_attached).

-export([during/2, of_one_release/2, call/5, clear/1, with_difference/2]).

-export_type([problem/0]).

-type problem() :: {not_attached, node(), router_bench_distribution:problem()
                                        | router_bench_guardian:refusal()
                                        | {other_release, Its :: string(), Of :: node() | local, Theirs :: string()}
                                        | {died, Reason :: term()}
                                        | no_answer}.

%% Sends some megabytes, over a slow connection too, and loads them.
-define(ATTACH_TIMEOUT_MS, 120000).
%% Processes are killed, and an adapter's detach/1 has the limit of its callback besides.
-define(CLEAR_TIMEOUT_MS, 30000).
%% The guardian outlasts whoever writes the last report, and no more.
-define(GRACE_MS, 60000).

%% Who is called from here.
-define(ROOTS, [router_bench_watch, router_bench_guardian, router_bench_side, router_bench_driver, router_bench_control,
                router_bench_env]).

%% Loads the guardian where it is not, and starts it, in one step: whatever happens to this VM meanwhile,
%% there is a guardian that sees it.
-define(ARRIVE, "case erlang:module_loaded(Module) of
                     false ->
                         case code:load_binary(Module, File, Code) of
                             {module, _} -> {ok, Module:start(Conductor, true)};
                             {error, Reason} ->
                                 {error, {not_loaded, Module, Reason, erlang:system_info(otp_release)}}
                         end;
                     true ->
                         case erlang:get_module_info(Module, md5) of
                             Digest -> {ok, Module:start(Conductor, false)};
                             _ -> {error, {other_build, Module}}
                         end
                 end.").

%% @doc Does some work while the bench is attached to the plan's node, and takes everything back.
-spec during(#{node := node(), cookie_file := none | file:filename_all(), adapter := module(),
               timeout_ms := pos_integer(), callback_timeout_ms := pos_integer(), _ => _},
             fun(() -> Result)) -> Result | {error, problem()}.
during(#{node := Node, cookie_file := CookieFile} = Plan, Work) ->
    case router_bench_distribution:connect(Node, CookieFile) of
        {ok, Connection} ->
            try arrive(Node, Plan) of
                {ok, Guardian} ->
                    try Work()
                    after leave(Node, Guardian)
                    end;
                {error, Reason} ->
                    {error, {not_attached, Node, Reason}}
            after
                router_bench_distribution:disconnect(Node, Connection)
            end;
        {error, Reason} ->
            {error, {not_attached, Node, Reason}}
    end.

%% @doc Whether nodes, and this VM if it starts drivers for them, have one release of Erlang/OTP: a report names
%% one, and what one took is no figure of another.
-spec of_one_release([node()], #{nodes := [router_bench_plan:driver()], _ => _}) -> ok | {error, problem()}.
of_one_release([First | Rest], #{nodes := Drivers}) ->
    case release(First) of
        {ok, Release} ->
            Own = erlang:system_info(otp_release),
            case lists:member(local, Drivers) andalso Own =/= Release of
                true -> {error, {not_attached, First, {other_release, Release, local, Own}}};
                false -> of_release(Rest, First, Release)
            end;
        {error, Reason} ->
            {error, {not_attached, First, Reason}}
    end;
of_one_release([], _Plan) ->
    ok.

of_release([], _First, _Release) ->
    ok;
of_release([Node | Rest], First, Release) ->
    case release(Node) of
        {ok, Release} -> of_release(Rest, First, Release);
        {ok, Other} -> {error, {not_attached, Node, {other_release, Other, First, Release}}};
        {error, Reason} -> {error, {not_attached, Node, Reason}}
    end.

release(Node) ->
    try {ok, erpc:call(Node, erlang, system_info, [otp_release], ?ATTACH_TIMEOUT_MS)}
    catch
        Class:Reason -> {error, {died, {Class, Reason}}}
    end.

arrive(Node, #{timeout_ms := TimeoutMs, callback_timeout_ms := EndingMs} = Plan) ->
    Luggage = (luggage(Node, Plan))#{leader => group_leader(), limit_ms => TimeoutMs + ?GRACE_MS,
                                     ending_ms => EndingMs},
    try erpc:call(Node, erl_eval, exprs, [arrival(), bindings()], ?ATTACH_TIMEOUT_MS) of
        {value, {ok, Guardian}, _} -> load(Guardian, Luggage);
        {value, {error, Reason}, _} -> {error, Reason}
    catch
        Class:Reason -> {error, {died, {Class, Reason}}}
    end.

arrival() ->
    {ok, Tokens, _} = erl_scan:string(?ARRIVE),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    Expressions.

bindings() ->
    {Module, File, Code, Digest} = router_bench_luggage:guardian(),
    orddict:from_list([{'Module', Module}, {'File', File}, {'Code', Code}, {'Digest', Digest},
                       {'Conductor', self()}]).

load(Guardian, Luggage) ->
    Monitor = monitor(process, Guardian),
    Guardian ! {load, self(), Luggage},
    receive
        {Guardian, attached} ->
            true = demonitor(Monitor, [flush]),
            {ok, Guardian};
        {Guardian, refused, Reason} ->
            receive {'DOWN', Monitor, process, Guardian, _} -> ok end,
            receive {Guardian, detached, _} -> ok after 0 -> ok end,
            {error, Reason};
        {'DOWN', Monitor, process, Guardian, _} ->
            % It may have said why.
            receive {Guardian, refused, Reason} -> {error, Reason}
            after 0 -> {error, no_answer}
            end
    after ?ATTACH_TIMEOUT_MS ->
            true = demonitor(Monitor, [flush]),
            Guardian ! {detach, self()}, % when it can
            {error, no_answer}
    end.

%% Where this VM is the node, its code is whoever's it was.
luggage(Node, _Plan) when Node =:= node() ->
    #{modules => [], application => none, library => none};
luggage(Node, #{adapter := Adapter}) ->
    router_bench_luggage:pack([Adapter | ?ROOTS], Node).

leave(Node, Guardian) ->
    Monitor = monitor(process, Guardian),
    Guardian ! {detach, self()},
    receive {'DOWN', Monitor, process, Guardian, _} -> ok
    after ?ATTACH_TIMEOUT_MS -> true = demonitor(Monitor, [flush])
    end,
    receive
        {Guardian, detached, []} -> ok;
        {Guardian, detached, Kept} ->
            io:format("in ~s stay ~0tp as old code, which a process that is not the bench's runs~n",
                      [Node, Kept])
    after 0 ->
            io:format("~s did not say that everything was taken back~n", [Node])
    end.

%% @doc Calls a function in the node until a deadline of `erlang:monotonic_time(millisecond)'.
-spec call(node(), module(), atom(), [term()], DeadlineMs :: integer()) -> term().
call(Node, Module, Function, Arguments, DeadlineMs) ->
    LeftMs = max(1, DeadlineMs - erlang:monotonic_time(millisecond)),
    try
        erpc:call(Node, router_bench_guardian, call, [Module, Function, Arguments], LeftMs)
    catch
        error:{erpc, timeout} -> {error, timeout};
        error:{erpc, Reason} -> {error, {cut, Node, Reason}};
        exit:{signal, _} -> {error, stopped};
        Class:Reason -> {error, {node_failed, Node, {Class, Reason}}}
    end.

%% @doc Ends whatever of the bench runs in the node.
-spec clear(node()) -> ok.
clear(Node) ->
    Monitor = monitor(process, {router_bench_guardian, Node}),
    {router_bench_guardian, Node} ! {clear, self(), Monitor},
    receive
        {Monitor, ok} -> true = demonitor(Monitor, [flush]);
        {'DOWN', Monitor, process, _, _} -> true
    after ?CLEAR_TIMEOUT_MS -> demonitor(Monitor, [flush])
    end,
    ok.

%% @doc What git says of the work tree, if that is what the node runs: a commit that was not measured must
%% not be named as if it had been.
-spec with_difference(node(), router_bench_env:git()) -> router_bench_env:git().
with_difference(Node, Git) ->
    DeadlineMs = erlang:monotonic_time(millisecond) + ?ATTACH_TIMEOUT_MS,
    case call(Node, router_bench_guardian, differing, [router_bench_luggage:router()], DeadlineMs) of
        [] -> Git;
        _DiffersOrUnknown -> Git#{dirty => true}
    end.
