%% @doc Tries an adapter: each callback once, ten requests, each control, and says in words what is
%% wrong with it. Nothing is measured.
%% @private
-module(router_bench_doctor).

-export([run/1]).

-export_type([finding/0]).

-type finding() :: #{verdict := fine | note | wrong, text := binary()}.

-define(REQUESTS, 10).
-define(COUNTERS, [errors_total, backpressure_active_total]).

%% @doc Examines the adapter of a plan in this VM, which is fresh.
-spec run(router_bench_plan:plan()) -> {ok, [finding()]}.
run(#{adapter := Adapter, callback_timeout_ms := LimitMs} = Plan) ->
    Work = fun(State) -> {ok, started(Adapter, State, LimitMs)} end,
    case router_bench_router:with(Plan#{fault := none}, Work) of
        {ok, Findings} ->
            {ok, [fine("init/1 started the router") | Findings] ++ [fine("terminate/1 stopped it")]};
        {error, Reason} ->
            {ok, [wrong("~ts", [router_bench_failure:sentence(Reason)])]}
    end.

started(Adapter, State, LimitMs) ->
    lists:append([transport(Adapter, State), counters(Adapter, State), processes(Adapter, State),
                  requests(Adapter, State, LimitMs)]
                 ++ [control(Counter, Adapter, State) || Counter <- ?COUNTERS]).

transport(Adapter, State) ->
    case router_bench_router:transport(Adapter, State) of
        {ok, #{transport := Name} = Transport} ->
            Of = [[", ", Text] || Key <- [transport_server, transport_tls_version, transport_tls_cipher],
                                  {ok, Text} <- [maps:find(Key, Transport)]],
            [fine("transport/1 says that requests go through ~ts~ts", [Name, Of])];
        {ok, _Local} ->
            [];
        {error, Reason} ->
            [wrong("~ts", [router_bench_failure:sentence(Reason)])]
    end.

counters(Adapter, State) ->
    case read(Adapter, State) of
        {ok, Counted} ->
            [case Counted of
                 #{Counter := Value} -> fine("counters/1 has ~s, now ~b", [Counter, Value]);
                 #{} -> note("counters/1 has no ~s: in the policy, name it in gate.not_offered and take "
                             "its rule out, or no run can pass", [Counter])
             end || Counter <- ?COUNTERS];
        {error, Finding} ->
            [Finding]
    end.

read(Adapter, State) ->
    try router_bench_router:counters(Adapter, State) of
        {ok, Counted} -> {ok, Counted};
        {error, Reason} -> {error, wrong("~ts", [router_bench_failure:sentence(Reason)])}
    catch
        Class:Reason -> {error, crashed("counters/1", Class, Reason)}
    end.

processes(Adapter, State) ->
    case erlang:function_exported(Adapter, processes, 1) of
        false ->
            [note("without processes/1 a router that dies is seen by its failing requests only")];
        true ->
            try Adapter:processes(State) of
                Names when is_list(Names) -> [process(Name) || Name <- Names];
                Other -> [wrong("processes/1 gave ~0tp; expected a list of names", [Other])]
            catch
                Class:Reason -> [crashed("processes/1", Class, Reason)]
            end
    end.

process(Name) when is_atom(Name) ->
    case whereis(Name) of
        undefined -> wrong("processes/1 names ~0tp, and no process is registered so", [Name]);
        _ -> fine("the process ~0tp is alive", [Name])
    end;
process(Name) ->
    wrong("processes/1 names ~0tp, which is no name", [Name]).

requests(Adapter, State, LimitMs) ->
    Outcomes = requests(Adapter, 0, State, LimitMs),
    Kinds = lists:usort([Kind || {Kind, _} <- Outcomes]),
    [of_kind(Kind, [Text || {K, Text} <- Outcomes, K =:= Kind]) || Kind <- Kinds].

%% One that hangs is the last.
requests(_Adapter, ?REQUESTS, _State, _LimitMs) ->
    [];
requests(Adapter, N, State, LimitMs) ->
    Doctor = self(),
    {Worker, Monitor} = spawn_monitor(fun() -> Doctor ! {self(), request(Adapter, N, State)} end),
    receive
        {Worker, Outcome} ->
            true = demonitor(Monitor, [flush]),
            [Outcome | requests(Adapter, N + 1, State, LimitMs)];
        {'DOWN', Monitor, process, Worker, Reason} ->
            [{exception, io_lib:format("the end of its process: ~0tp", [Reason])}
             | requests(Adapter, N + 1, State, LimitMs)]
    after LimitMs ->
            exit(Worker, kill),
            receive {'DOWN', Monitor, process, Worker, _} -> ok end,
            [{timeout, io_lib:format("no answer in ~b ms", [LimitMs])}]
    end.

request(Adapter, N, State) ->
    try Adapter:route(Adapter:request(N, State), State) of
        ok -> {ok, ""};
        {ok, _} -> {ok, ""};
        {error, Reason} -> {error, io_lib:format("{error, ~0tp}", [Reason])};
        {rejected, Reason} -> {rejected, io_lib:format("{rejected, ~0tp}", [Reason])};
        Other -> {bad_return, io_lib:format("~0tp", [Other])}
    catch
        Class:Reason -> {exception, io_lib:format("~0tp", [{Class, Reason}])}
    end.

of_kind(ok, Texts) ->
    fine("~b of ~b requests succeeded", [length(Texts), ?REQUESTS]);
of_kind(bad_return, [First | _] = Texts) ->
    wrong("route/2 gave ~b times what it must not, the first ~ts; expected ok, {ok, Term}, {error, "
          "Reason} or {rejected, Reason}", [length(Texts), First]);
of_kind(Kind, [First | _] = Texts) ->
    wrong("~b of ~b requests ended with ~s, the first with ~ts", [length(Texts), ?REQUESTS, Kind, First]).

control(Counter, Adapter, State) ->
    case erlang:function_exported(Adapter, control, 2) of
        false ->
            [note("without control/2 nothing shows that ~s can move: its 0 may be dead", [Counter])];
        true ->
            try router_bench_control:moves(Counter, Adapter, State) of
                {ok, alive} -> [fine("control/2 made ~s move", [Counter])];
                {ok, not_offered} -> [note("control/2 offers nothing for ~s", [Counter])];
                {error, Reason} -> [wrong("~ts", [router_bench_failure:sentence(Reason)])]
            catch
                Class:Reason -> [crashed("control/2", Class, Reason)]
            end
    end.

crashed(Callback, Class, Reason) ->
    wrong("~s crashed: ~0tp", [Callback, {Class, Reason}]).

fine(Format) -> fine(Format, []).
fine(Format, Arguments) -> finding(fine, Format, Arguments).
note(Format) -> note(Format, []).
note(Format, Arguments) -> finding(note, Format, Arguments).
wrong(Format, Arguments) -> finding(wrong, Format, Arguments).

finding(Verdict, Format, Arguments) ->
    Text = unicode:characters_to_list(io_lib:format(Format, Arguments)),
    #{verdict => Verdict, text => router_bench_text:line(Text, 300)}.
