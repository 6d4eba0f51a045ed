%% An epmd on a free port of loopback, for nodes that get the variables. It ends with its standard input, which
%% this VM has.
-module(own_epmd).

-export([start/0, stop/1]).

-define(TRIES, 400).

start() ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    Epmd = filename:join([code:root_dir(), "erts-" ++ erlang:system_info(version), "bin", "epmd"]),
    Script = "\"$0\" -address 127.0.0.1 -port \"$1\" >/dev/null 2>&1 & read _; kill $!; wait",
    Shell = open_port({spawn_executable, "/bin/sh"}, [{args, ["-c", Script, Epmd, integer_to_list(Port)]}]),
    ok = answers(Port, ?TRIES),
    % The port belongs to the process that opened it, which ends before the cases of a suite begin.
    Keeper = spawn(fun() -> receive stop -> ok end end),
    true = port_connect(Shell, Keeper),
    unlink(Shell),
    {Keeper, [{"ERL_EPMD_PORT", integer_to_list(Port)}, {"ERL_EPMD_ADDRESS", "127.0.0.1"}]}.

stop(Keeper) ->
    Keeper ! stop,
    ok.

answers(_Port, 0) ->
    no_epmd;
answers(Port, Tries) ->
    case gen_tcp:connect({127, 0, 0, 1}, Port, []) of
        {ok, Connected} ->
            gen_tcp:close(Connected);
        {error, _} ->
            timer:sleep(50),
            answers(Port, Tries - 1)
    end.
