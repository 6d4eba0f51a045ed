%% A server for a test, through scripts/nats.sh, which ends with the test however that ends; and a relay
%% before it, whose connections can be cut.
-module(nats_test_server).

-export([root/0, start/2, stop/1, kill/1, restart/1, port/1, tls/1, monitor/2]).
-export([relay/2, cut/1, refuse/1, close_relay/1]).

%% @doc The checkout that this test is of.
root() -> root(filename:dirname(filename:absname(code:which(?MODULE)))).

root(Dir) ->
    case filelib:is_regular(filename:join(Dir, "scripts/nats.sh")) of
        true -> Dir;
        false -> root(filename:dirname(Dir))
    end.

start(Dir, Flags) ->
    Server = #{dir => Dir, flags => Flags},
    {0, Said} = script(["start", "--dir", Dir | Flags]),
    ct:pal("~ts", [Said]),
    Server#{guard => spawn(fun() -> guard(Dir) end), port => read_port(Dir)}.

%% A shell whose input ends with this VM, or with the process that has the port; which is no process of a
%% suite, as the one of its beginning ends before its first test.
guard(Dir) ->
    Stop = "read -r _; exec setsid \"$0\" stop --dir \"$1\" >/dev/null 2>&1",
    _ = open_port({spawn_executable, "/bin/sh"}, [{args, ["-c", Stop, script(), Dir]}]),
    receive stop -> ok end.

stop(#{dir := Dir, guard := Guard}) ->
    {0, _} = script(["stop", "--dir", Dir]),
    Guard ! stop,
    ok.

kill(#{dir := Dir}) ->
    {ok, Pid} = file:read_file(filename:join(Dir, "nats.pid")),
    [] = os:cmd("kill -KILL " ++ string:trim(binary_to_list(Pid))),
    ok.

%% @doc Starts it again on its port; from a measured BEAM too, which has no Common Test.
restart(#{dir := Dir, flags := Flags, port := Port}) ->
    {0, _} = script(["start", "--dir", Dir, "--port", integer_to_list(Port) | Flags]),
    ok.

port(#{port := Port}) -> Port.

read_port(Dir) ->
    {ok, Text} = file:read_file(filename:join(Dir, "port")),
    binary_to_integer(string:trim(Text)).

tls(#{dir := Dir}) ->
    In = fun(Name) -> filename:join([Dir, "certificates", Name]) end,
    #{ca => In("ca.pem"), certificate => In("client.pem"), key => In("client.key")}.

%% @doc What the server itself says.
monitor(#{dir := Dir}, Path) ->
    {ok, Text} = file:read_file(filename:join(Dir, "monitor")),
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, binary_to_integer(string:trim(Text)),
                                   [binary, {active, false}]),
    ok = gen_tcp:send(Socket, ["GET /", Path, " HTTP/1.0\r\n\r\n"]),
    read_all(Socket, <<>>).

read_all(Socket, Read) ->
    case gen_tcp:recv(Socket, 0, 5000) of
        {ok, More} -> read_all(Socket, <<Read/binary, More/binary>>);
        {error, closed} -> Read
    end.

script() -> filename:join(root(), "scripts/nats.sh").

script(Arguments) ->
    Port = open_port({spawn_executable, script()},
                     [{args, Arguments}, exit_status, stderr_to_stdout, binary]),
    wait(Port, <<>>).

wait(Port, Said) ->
    receive
        {Port, {data, More}} -> wait(Port, <<Said/binary, More/binary>>);
        {Port, {exit_status, Status}} -> {Status, Said}
    end.

%% @doc A relay at an address of this machine to a port of 127.0.0.1.
relay(Address, To) ->
    Caller = self(),
    Pid = spawn_link(fun() ->
        {ok, Listen} = gen_tcp:listen(0, [binary, {ip, Address}, {active, false}, {reuseaddr, true}]),
        {ok, Port} = inet:port(Listen),
        Caller ! {self(), Port},
        Relay = self(),
        spawn_link(fun() -> accept(Relay, Listen) end),
        relay(To, Listen, [], true)
    end),
    receive {Pid, Port} -> {Pid, Port} end.

accept(Relay, Listen) ->
    case gen_tcp:accept(Listen) of
        {ok, Socket} ->
            ok = gen_tcp:controlling_process(Socket, Relay),
            Relay ! {accepted, Socket},
            accept(Relay, Listen);
        {error, closed} ->
            ok
    end.

relay(To, Listen, Pairs, Open) ->
    receive
        {accepted, Socket} when Open ->
            case gen_tcp:connect({127, 0, 0, 1}, To, [binary, {active, true}, {nodelay, true}]) of
                {ok, Other} ->
                    ok = inet:setopts(Socket, [{active, true}, {nodelay, true}]),
                    relay(To, Listen, [{Socket, Other}, {Other, Socket} | Pairs], Open);
                {error, _} ->
                    ok = gen_tcp:close(Socket),
                    relay(To, Listen, Pairs, Open)
            end;
        {accepted, Socket} ->
            ok = gen_tcp:close(Socket),
            relay(To, Listen, Pairs, Open);
        {tcp, From, Data} ->
            _ = [gen_tcp:send(Other, Data) || {Socket, Other} <- Pairs, Socket =:= From],
            relay(To, Listen, Pairs, Open);
        {tcp_closed, Gone} ->
            {Of, Rest} = lists:partition(fun({A, B}) -> A =:= Gone orelse B =:= Gone end, Pairs),
            _ = [gen_tcp:close(Socket) || {Socket, _} <- Of],
            relay(To, Listen, Rest, Open);
        {tcp_error, _, _} ->
            relay(To, Listen, Pairs, Open);
        cut ->
            _ = [gen_tcp:close(Socket) || {Socket, _} <- Pairs],
            relay(To, Listen, [], Open);
        refuse ->
            _ = [gen_tcp:close(Socket) || {Socket, _} <- Pairs],
            relay(To, Listen, [], false);
        close ->
            ok
    end.

%% @doc Closes all connections; new ones are let through.
cut({Pid, _}) -> Pid ! cut, ok.

%% @doc Closes all connections, and lets no new one through.
refuse({Pid, _}) -> Pid ! refuse, ok.

close_relay({Pid, _}) -> Pid ! close, ok.
