%% A network namespace with one link to this machine's network, for as long as this VM lives.
-module(own_network).

-export([start/0, stop/1, here/1, there/1, name/1, inside/1, cut/1, join/1]).

%% Gone when its standard input closes, also where this VM was killed.
-define(NETWORK, "trap '' HUP INT TERM\n"
                 "ip netns add $1 && ip link add $1 type veth peer name in netns $1 &&\n"
                 "ip address add $2.1/30 dev $1 && ip link set $1 up &&\n"
                 "ip -n $1 address add $2.2/30 dev in && ip -n $1 link set in up && ip -n $1 link set lo up &&\n"
                 "echo up && read -r _\n"
                 "ip link delete $1; ip netns delete $1").

%% The error says whether this machine cannot at all.
start() ->
    case os:cmd("unshare --net --mount true && echo can") of
        "can\n" -> made();
        Why -> {error, "this machine cannot make network namespaces (be root): " ++ Why}
    end.

made() ->
    Number = list_to_integer(os:getpid()),
    Name = "rb" ++ integer_to_list(Number),
    Net = lists:flatten(io_lib:format("198.18.~b", [Number rem 256])),
    Starter = self(),
    Holder = spawn(fun() ->
        Port = open_port({spawn_executable, "/bin/sh"}, [{args, ["-c", ?NETWORK, "sh", Name, Net]}, {line, 200},
                                                         exit_status, stderr_to_stdout]),
        Up = receive
                 {Port, {data, {eol, "up"}}} -> up;
                 {Port, Other} -> {down, Other}
             end,
        Starter ! {self(), Up},
        receive {stop, From} ->
            true = port_command(Port, "\n"),
            receive {Port, {exit_status, _}} -> From ! {self(), stopped} end
        end
    end),
    receive
        {Holder, up} -> {ok, #{holder => Holder, name => Name, net => Net}};
        {Holder, {down, Why}} -> {error, lists:flatten(io_lib:format("no network namespace: ~0p", [Why]))}
    end.

stop(#{holder := Holder}) ->
    Holder ! {stop, self()},
    receive {Holder, stopped} -> ok end.

%% The address of either end of the link.
here(#{net := Net}) -> Net ++ ".1".
there(#{net := Net}) -> Net ++ ".2".

name(#{name := Name}) -> Name.

%% The words that lead a program there.
inside(#{name := Name}) -> [os:find_executable("ip"), "netns", "exec", Name].

cut(#{name := Name}) -> link(Name, "down").
join(#{name := Name}) -> link(Name, "up").

link(Name, State) ->
    "" = os:cmd("ip link set " ++ Name ++ " " ++ State),
    ok.
