%% A driver by ssh: a real sshd on loopback, with keys of its own, in a mount namespace of its own, so that the
%% user it wants is there and nothing of the host changes.
-module(router_bench_ssh_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([a_driver_is_started_by_ssh_and_leaves_nothing/1,
         a_host_that_is_not_known_is_refused_without_a_question/1,
         a_key_that_is_not_taken_is_refused_without_a_question/1,
         a_connection_that_is_lost_ends_the_run_and_names_the_driver/1,
         what_is_no_destination_is_no_argument_of_ssh/1]).

-define(CONFIGURATION, "Port ~b\nListenAddress 127.0.0.1\nHostKey ~s/host\nAuthorizedKeysFile ~s/key.pub\n"
                       "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\n").
%% Ends with its standard input.
-define(SERVER, "exec unshare -m sh -c 'mount --bind \"$1/passwd\" /etc/passwd && mount -t tmpfs tmpfs /run &&\n"
                "mkdir /run/sshd && { \"$0\" -D -f \"$1/conf\" & read -r _; kill $!; wait; }' \"$1\" \"$2\"").
%% What `ssh' finds first on the path: the real one, with what this suite trusts.
-define(CLIENT, "#!/bin/sh\nexec ~s -F ~s/ssh_config \"$@\"\n").
-define(HOSTS, "Host known stranger\n HostName 127.0.0.1\n Port ~b\n User root\n IdentitiesOnly yes\n"
               "Host known\n UserKnownHostsFile ~s/known\n IdentityFile ~s/key\n"
               "Host stranger\n UserKnownHostsFile /dev/null\n IdentityFile ~s/key\n"
               "Host unwanted\n HostName 127.0.0.1\n Port ~b\n User root\n IdentitiesOnly yes\n"
               " UserKnownHostsFile ~s/known\n IdentityFile ~s/host\n").

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info] -- [init_per_suite, end_per_suite].

init_per_suite(Config) ->
    case {sshd(), os:cmd("id -u")} of
        {false, _} -> {skip, "no sshd: ./scripts/setup.sh --with ssh unpacks one in _build/test_tools/ssh"};
        {_, Id} when Id =/= "0\n" -> {skip, "this machine cannot: sshd in a mount namespace takes root"};
        {{Sshd, Libraries}, _} -> served(Sshd, Libraries, Config)
    end.

sshd() ->
    Source = proplists:get_value(source, module_info(compile)),
    Root = filename:join([filename:dirname(Source), "../../..", "_build/test_tools/ssh"]),
    Unpacked = filename:join(Root, "usr/sbin/sshd"),
    case {filelib:is_regular(Unpacked), os:find_executable("sshd", "/usr/sbin:/usr/local/sbin")} of
        {true, _} -> {Unpacked, lists:join($:, filelib:wildcard(Root ++ "/lib/*-linux-gnu")
                                                     ++ filelib:wildcard(Root ++ "/usr/lib/*-linux-gnu"))};
        {false, false} -> false;
        {false, Installed} -> {Installed, ""}
    end.

served(Sshd, Libraries, Config) ->
    Dir = filename:join(proplists:get_value(priv_dir, Config), "ssh"),
    ok = filelib:ensure_path(Dir),
    Real = os:find_executable("ssh"),
    [[] = os:cmd("ssh-keygen -q -t ed25519 -N '' -f " ++ filename:join(Dir, Key)) || Key <- ["host", "key"]],
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    {ok, HostKey} = file:read_file(filename:join(Dir, "host.pub")),
    {ok, Users} = file:read_file("/etc/passwd"),
    Write = fun(Name, Text) -> ok = file:write_file(filename:join(Dir, Name), Text) end,
    Write("conf", io_lib:format(?CONFIGURATION, [Port, Dir, Dir])),
    Write("passwd", [Users, "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"]),
    Write("known", io_lib:format("[127.0.0.1]:~b ~s", [Port, HostKey])),
    Write("ssh_config", io_lib:format(?HOSTS, [Port, Dir, Dir, Dir, Port, Dir, Dir])),
    Write("ssh", io_lib:format(?CLIENT, [Real, Dir])),
    ok = file:change_mode(filename:join(Dir, "ssh"), 8#755),
    Suite = self(),
    Keeper = spawn(fun() ->
        Server = open_port({spawn_executable, "/bin/sh"},
                           [{args, ["-c", ?SERVER, "sh", Sshd, Dir]}, exit_status,
                            {env, [{"LD_LIBRARY_PATH", lists:flatten(Libraries)}]}]),
        Suite ! {self(), listening(Port, 100)},
        receive {stop, From} ->
            true = port_command(Server, "\n"),
            receive {Server, {exit_status, _}} -> From ! stopped end
        end
    end),
    receive {Keeper, ok} -> ok end,
    Path = os:getenv("PATH"),
    true = os:putenv("PATH", Dir ++ ":" ++ Path),
    [{keeper, Keeper}, {path, Path} | Config].

listening(_Port, 0) ->
    no_server;
listening(Port, Tries) ->
    case gen_tcp:connect({127, 0, 0, 1}, Port, []) of
        {ok, Socket} -> gen_tcp:close(Socket);
        {error, _} -> timer:sleep(50), listening(Port, Tries - 1)
    end.

end_per_suite(Config) ->
    true = os:putenv("PATH", proplists:get_value(path, Config)),
    proplists:get_value(keeper, Config) ! {stop, self()},
    receive stopped -> ok end.

run(Host, More) ->
    router_bench:run(maps:merge(#{adapter => driven_adapter, nodes => [{ssh, Host}], listen => <<"127.0.0.1">>,
                                  blocks => 1, warmup_ms => 20, throughput_ms => 60, latency_ms => 200,
                                  slice_ms => 50, rate_per_second => 1000, concurrency => 3, control => false,
                                  drain_timeout_ms => 1000, timeout_ms => 60000, quiet => true}, More)).

a_driver_is_started_by_ssh_and_leaves_nothing(_Config) ->
    {ok, #{load := #{distribution := tls, drivers := 1},
           blocks := [#{accounting := #{latency := #{offered := 200, ok := 200}},
                        nodes := #{drivers := [#{place := <<"ssh:known">>}]}}]}} =
        run("known", #{erl_args => ["-my_flag", "it's $HOME; `two` words"]}),
    [] = filelib:wildcard("/tmp/router_bench_{far,tls}.*"),
    [] = [File || File <- filelib:wildcard("/proc/[0-9]*/cmdline"), {ok, Words} <- [file:read_file(File)],
                  binary:match(Words, <<"-my_flag">>) =/= nomatch].

a_host_that_is_not_known_is_refused_without_a_question(_Config) ->
    refused("stranger").

a_key_that_is_not_taken_is_refused_without_a_question(_Config) ->
    refused("unwanted").

refused(Host) ->
    {error, {failed, Text, _}} = run(Host, #{}),
    {match, _} = re:run(Text, "driver 1 of 1 \\(ssh:" ++ Host ++ "\\).*ssh did not get in").

a_connection_that_is_lost_ends_the_run_and_names_the_driver(_Config) ->
    Cut = fun({step, #{activity := open_loop}}) ->
                  [exit_of(filename:basename(Dir)) || Dir <- filelib:wildcard("/proc/[0-9]*"),
                       {ok, Words} <- [file:read_file(filename:join(Dir, "cmdline"))],
                       binary:match(Words, <<"BatchMode=yes">>) =/= nomatch,
                       binary:match(Words, <<"ssh_config">>) =/= nomatch];
             (_) -> ok
          end,
    {error, {failed, Text, _}} = run("known", #{latency_ms => 20000, progress => Cut}),
    {match, _} = re:run(Text, "driver 1 of 1 \\(ssh:known\\), whose share").

exit_of(OsPid) ->
    "" = os:cmd("kill -KILL " ++ OsPid).

what_is_no_destination_is_no_argument_of_ssh(_Config) ->
    lists:foreach(fun(Destination) ->
                          {error, {failed, Text, _}} = run(Destination, #{}),
                          {match, _} = re:run(Text, "no_destination")
                  end, ["-oProxyCommand=false", "a b", "a;b"]).
