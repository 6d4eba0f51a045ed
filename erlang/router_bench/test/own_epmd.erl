%% An epmd on a free port, for nodes that get the variables. It ends with its standard input, which this VM has.
-module(own_epmd).

-export([start/0, start/1, stop/1]).

-define(TRIES, 400).
-define(SCRIPT, "address=$1; port=$2; shift 2\n"
                "\"$@\" -address \"$address\" -port \"$port\" >/dev/null 2>&1 & read _; kill $!; wait").

%% On loopback.
start() ->
    start([{[], "127.0.0.1"}]).

%% On each of some addresses, one behind the words that lead to it; all have one port, as whoever asks for a
%% node takes that of its own epmd.
start(Places) ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    Epmd = filename:join([code:root_dir(), "erts-" ++ erlang:system_info(version), "bin", "epmd"]),
    Starter = self(),
    % A port belongs to the process that opened it, and who starts a suite ends before its cases begin.
    Keeper = spawn(fun() ->
        Arguments = fun(Way, Address) -> ["-c", ?SCRIPT, "sh", Address, integer_to_list(Port)] ++ Way ++ [Epmd] end,
        Shells = [open_port({spawn_executable, "/bin/sh"}, [exit_status, {args, Arguments(Way, Address)}])
                  || {Way, Address} <- Places],
        Starter ! {self(), started},
        receive {stop, From} ->
            _ = [true = port_command(Shell, "\n") || Shell <- Shells],
            _ = [receive {Shell, {exit_status, _}} -> ok end || Shell <- Shells],
            From ! {self(), stopped}
        end
    end),
    receive {Keeper, started} -> ok end,
    _ = [ok = answers(Address, Port, ?TRIES) || {_, Address} <- Places],
    [{_, First} | _] = Places,
    {Keeper, [{"ERL_EPMD_PORT", integer_to_list(Port)}, {"ERL_EPMD_ADDRESS", First}]}.

stop(Keeper) ->
    Keeper ! {stop, self()},
    receive {Keeper, stopped} -> ok end.

answers(_Address, _Port, 0) ->
    no_epmd;
answers(Address, Port, Tries) ->
    case gen_tcp:connect(Address, Port, []) of
        {ok, Connected} ->
            gen_tcp:close(Connected);
        {error, _} ->
            timer:sleep(50),
            answers(Address, Port, Tries - 1)
    end.
