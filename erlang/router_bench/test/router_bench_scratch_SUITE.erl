%% A directory that goes with what it belongs to.
-module(router_bench_scratch_SUITE).
-behaviour(ct_suite).

-export([all/0, held/0]).
-export([goes_when_asked/1, goes_with_its_process/1, goes_with_a_beam_that_is_killed/1]).

all() ->
    [goes_when_asked, goes_with_its_process, goes_with_a_beam_that_is_killed].

goes_when_asked(_Config) ->
    {ok, Directory, Scratch} = router_bench_scratch:new(),
    {ok, Other, _} = router_bench_scratch:new(),
    true = Directory =/= Other,
    filled(Directory),
    ok = router_bench_scratch:remove(Scratch),
    false = filelib:is_dir(Directory),
    true = filelib:is_dir(Other).

goes_with_its_process(_Config) ->
    Test = self(),
    {_, Monitor} = spawn_monitor(fun() ->
        {ok, Directory, _} = router_bench_scratch:new(),
        filled(Directory),
        Test ! {directory, Directory}
    end),
    Directory = receive {directory, Made} -> Made end,
    receive {'DOWN', Monitor, process, _, normal} -> ok end,
    gone(Directory).

goes_with_a_beam_that_is_killed(_Config) ->
    {ok, Peer, _} = peer:start(#{connection => standard_io,
                                 args => ["-pa", filename:dirname(code:which(?MODULE)),
                                          filename:dirname(code:which(router_bench_scratch))]}),
    {Directory, OsPid} = peer:call(Peer, ?MODULE, held, []),
    true = filelib:is_dir(Directory),
    _ = os:cmd("kill -KILL " ++ OsPid),
    gone(Directory).

%% In the BEAM that is killed: a directory that belongs to a process which does not end.
held() ->
    Caller = self(),
    _ = spawn(fun() ->
        {ok, Directory, _} = router_bench_scratch:new(),
        filled(Directory),
        Caller ! {directory, Directory},
        timer:sleep(infinity)
    end),
    receive {directory, Directory} -> {Directory, os:getpid()} end.

filled(Directory) ->
    Deep = filename:join([Directory, "a b", "c"]),
    ok = filelib:ensure_dir(Deep),
    ok = file:write_file(Deep, <<"state">>).

gone(Directory) -> gone(Directory, 500).

gone(Directory, Tries) when Tries > 0 ->
    case filelib:is_dir(Directory) of
        true -> timer:sleep(20), gone(Directory, Tries - 1);
        false -> ok
    end.
