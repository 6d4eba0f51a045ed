%% @doc Fresh BEAMs for work, of which none is left behind.
%%
%% The peer talks over its standard input and output: it has no node name, so it opens no port on
%% the network and needs no epmd. It halts when its input closes, so it does not outlive this VM
%% either. Nor does what its router leaves behind, an epmd above all: whatever has this peer's mark in its
%% environment is ended when the peer has gone. What ran before has none.
%% @private
-module(router_bench_peer).

-export([start/3, far/2, call/5, stop/1, interrupt/1, os_pid/1]).

-export_type([peer/0]).

-opaque peer() :: {pid(), OsPid :: string(), Mark :: string()}.

%% A BEAM boots in well under a second; a loaded machine may take some.
-define(BOOT_TIMEOUT_MS, 30000).
%% On another machine, once that has been reached.
-define(FAR_BOOT_TIMEOUT_MS, 60000).
%% For the peer's operating system process to go, once asked and once killed.
-define(EXIT_TIMEOUT_MS, 5000).
-define(POLL_MS, 10).

%% What an emulator with +JPperf writes and never removes, in the place where perf looks for it.
-define(LEFT_FOR_PERF(OsPid), ["/tmp/perf-" ++ OsPid ++ ".map", "/tmp/jit-" ++ OsPid ++ ".dump"]).

%% A variable of every process that a peer starts.
-define(MARK, "ROUTER_BENCH_PEER").

%% What the emulator takes from the environment as it starts, beside its flags.
-define(READ_BY_THE_EMULATOR, ["ERL_LIBS", "ERL_FULLSWEEP_AFTER", "ERL_MAX_ETS_TABLES",
                               "ERL_MAX_PORTS", "ERL_THREAD_POOL_SIZE"]).

%% A scheduler without work would spin for a while. On a machine with few processors it then keeps
%% the load generator from one, and the percentiles are those of the wait.
-define(NO_BUSY_WAIT, ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]).

%% @doc Starts a peer with the plan's flags and this VM's own code or that of a frozen build, and makes
%% sure that it has it. Linked to the caller.
-spec start(router_bench_plan:plan(), router_bench_frozen:code(), DeadlineMs :: integer()) ->
          {ok, peer()} | {error, Reason :: term()}.
start(Plan, Code, DeadlineMs) ->
    case boot(Plan, Code) of
        {ok, Peer} ->
            case call(Peer, router_bench_frozen, check, [Code], DeadlineMs) of
                ok ->
                    {ok, Peer};
                {error, Reason} ->
                    ok = stop(Peer),
                    {error, Reason}
            end;
        {error, Reason} ->
            {error, {peer_not_started, maps:get(erl_args, Plan), Reason}}
    end.

%% @doc Starts one elsewhere, with the plan's flags and OTP's code alone; its process here is that of the
%% program that reaches it. Linked to the caller.
-spec far(router_bench_plan:plan(), router_bench_far:way()) -> {ok, peer()} | {error, Reason :: term()}.
far(Plan, #{exec := Exec} = Way) ->
    Quoted = case Way of
                 #{shell := true} -> fun quoted/1;
                 #{} -> fun(Argument) -> Argument end
             end,
    Started = booted(Exec, [Quoted(Argument) || Argument <- arguments([], Plan)],
                     ?FAR_BOOT_TIMEOUT_MS,
                     fun(Peer) ->
                             {links, Links} = process_info(Peer, links),
                             hd([integer_to_list(OsPid) || Port <- Links, is_port(Port),
                                                           {os_pid, OsPid} <- [erlang:port_info(Port, os_pid)]])
                     end),
    case Started of
        {ok, Peer} -> {ok, Peer};
        {error, Reason} -> {error, {peer_not_started, maps:get(erl_args, Plan), Reason}}
    end.

quoted(Argument) ->
    lists:flatten([$', string:replace(Argument, "'", "'\\''", all), $']).

boot(Plan, Code) ->
    booted(filename:join([code:root_dir(), "bin", "erl"]), arguments(code_paths(Code), Plan), ?BOOT_TIMEOUT_MS,
           fun(Peer) -> peer:call(Peer, os, getpid, [], ?BOOT_TIMEOUT_MS) end).

%% The project's own come last, so they win.
arguments(CodePaths, #{erl_args := Flags, cluster := Cluster}) ->
    ["-boot", "no_dot_erlang", "-kernel", "logger_level", "warning"]
        ++ ?NO_BUSY_WAIT ++ CodePaths ++ router_bench_cluster:flags(Cluster) ++ Flags.

booted(Exec, Arguments, TimeoutMs, OsPid) ->
    Mark = os:getpid() ++ "." ++ integer_to_list(erlang:unique_integer([positive])),
    Options = #{connection => standard_io,
                exec => Exec,
                args => Arguments,
                % What the caller's shell exports must not shape the measured VM. An empty value
                % unsets.
                env => [{?MARK, Mark} | [{Name, ""} || {Name, _} <- os:env(), shapes_vm(Name)]],
                wait_boot => TimeoutMs},
    try peer:start_link(Options) of
        {ok, Peer} -> {ok, {Peer, OsPid(Peer), Mark}};
        {ok, Peer, _Node} -> {ok, {Peer, OsPid(Peer), Mark}};
        {error, Reason} -> {error, Reason}
    catch
        _:Reason -> {error, Reason}
    end.

%% Flags are in ERL_FLAGS, ERL_AFLAGS, ERL_ZFLAGS and, for one release, ERL_OTP25_FLAGS.
shapes_vm(Name) ->
    lists:prefix("ERL_", Name) andalso lists:suffix("FLAGS", Name)
        orelse lists:member(Name, ?READ_BY_THE_EMULATOR).

code_paths(Code) ->
    lists:append([["-pa", Dir] || Dir <- lists:reverse(router_bench_frozen:code_path(Code))]).

%% @doc Its operating system process.
-spec os_pid(peer()) -> string().
os_pid({_Peer, OsPid, _Mark}) -> OsPid.

%% @doc Calls a function in a peer until a deadline of `erlang:monotonic_time(millisecond)'.
-spec call(peer(), module(), atom(), [term()], DeadlineMs :: integer()) -> term().
call({Peer, _OsPid, _Mark}, Module, Function, Arguments, DeadlineMs) ->
    LeftMs = max(1, DeadlineMs - erlang:monotonic_time(millisecond)),
    try
        peer:call(Peer, Module, Function, Arguments, LeftMs)
    catch
        exit:{timeout, _} -> {error, timeout};
        exit:timeout -> {error, timeout};
        exit:{Reason, _Call} -> {error, {peer_died, Reason}};
        Class:Reason -> {error, {peer_died, Class, Reason}}
    end.

%% @doc Ends a peer and sees it go.
-spec stop(peer()) -> ok.
stop({Peer, OsPid, Mark}) ->
    ok = ask_to_stop(Peer),
    ok = see_go(OsPid),
    end_marked([Mark], ?EXIT_TIMEOUT_MS).

ask_to_stop(Peer) ->
    try peer:stop(Peer)
    catch _:_ -> ok % it is gone already, or it hangs: seen to by whoever sees it go
    end.

see_go(OsPid) ->
    case wait_for_exit(OsPid, ?EXIT_TIMEOUT_MS) of
        ok ->
            ok;
        timeout ->
            _ = os:cmd("kill -KILL " ++ OsPid),
            _ = wait_for_exit(OsPid, ?EXIT_TIMEOUT_MS),
            ok
    end,
    _ = [file:delete(File) || File <- ?LEFT_FOR_PERF(OsPid)],
    ok.

%% @doc Ends the peers of a process, whatever it waits for from them, and sees them go: its call answers an
%% error.
-spec interrupt(pid()) -> ok.
interrupt(Owner) ->
    Peers = [Linked || {links, Links} <- [process_info(Owner, links)], Linked <- Links, is_pid(Linked),
                       proc_lib:translate_initial_call(Linked) =:= {peer, init, 1}],
    lists:foreach(fun(Peer) ->
                          % One that still boots has not said its own yet.
                          OsPids = [integer_to_list(OsPid)
                                    || {links, Links} <- [process_info(Peer, links)], Port <- Links,
                                       is_port(Port),
                                       {os_pid, OsPid} <- [erlang:port_info(Port, os_pid)]],
                          Marks = [Mark || OsPid <- OsPids, Mark <- marks_of(OsPid)],
                          ok = ask_to_stop(Peer),
                          ok = lists:foreach(fun see_go/1, OsPids),
                          ok = end_marked(Marks, ?EXIT_TIMEOUT_MS)
                  end, Peers).

%% Ends what has one of the marks, as far as /proc tells: asks, then kills.
end_marked(Marks, LeftMs) ->
    OsPids = [filename:basename(Dir) || Marks =/= [], Dir <- filelib:wildcard("/proc/[0-9]*"),
                                        [Mark] <- [marks_of(filename:basename(Dir))],
                                        lists:member(Mark, Marks)],
    Signal = case LeftMs > 0 of
                 true -> "TERM";
                 false -> "KILL"
             end,
    case {OsPids, Signal} of
        {[], _} ->
            ok;
        {_, _} ->
            _ = os:cmd(lists:join($\s, ["kill", "-" ++ Signal | OsPids])),
            timer:sleep(?POLL_MS),
            _ = [end_marked(Marks, LeftMs - ?POLL_MS) || LeftMs > -?EXIT_TIMEOUT_MS],
            ok
    end.

marks_of(OsPid) ->
    case file:read_file(filename:join(["/proc", OsPid, "environ"])) of
        {ok, Environment} ->
            [binary_to_list(Mark) || <<?MARK, "=", Mark/binary>> <- binary:split(Environment, <<0>>, [global])];
        {error, _} ->
            []
    end.

wait_for_exit(OsPid, LeftMs) ->
    case {os:cmd("kill -0 " ++ OsPid ++ " 2>/dev/null && echo alive"), LeftMs > 0} of
        {"", _} -> ok;
        {_, false} -> timeout;
        {_, true} ->
            timer:sleep(?POLL_MS),
            wait_for_exit(OsPid, LeftMs - ?POLL_MS)
    end.
