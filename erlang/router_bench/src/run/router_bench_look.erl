%% @doc A look: a command of the caller's that reads the blocks so far and says whether to go on.
-module(router_bench_look).

-export([run/3]).

-export_type([answer/0]).

%% `go_on': undecided, and more blocks help. `stop': nothing that more blocks could add.
-type answer() :: go_on | stop.

%% EX_TEMPFAIL of sysexits.h: "try again later".
-define(GO_ON_STATUS, 75).
%% The last of what a command prints is kept; a verdict is a few thousand characters.
-define(OUTPUT_BYTES_MAX, 65536).

%% @doc Runs a program with its arguments to its end, outside of any measurement, and gives its
%% answer and what it printed. One that cannot be started, or that runs longer than it may, is an
%% error; it and what it started in its process group are killed then.
-spec run(Command :: [string(), ...], More :: [file:filename_all()], TimeoutMs :: pos_integer()) ->
          {ok, answer(), Output :: binary()} | {error, term()}.
run([Program | Arguments], More, TimeoutMs) ->
    DeadlineMs = erlang:monotonic_time(millisecond) + TimeoutMs,
    try open_port({spawn_executable, Program},
                  [{args, Arguments ++ More}, binary, exit_status, stderr_to_stdout, hide]) of
        Port -> collect(Port, erlang:port_info(Port, os_pid), DeadlineMs, <<>>)
    catch
        error:Reason -> {error, {look_not_started, Program, Reason}}
    end.

collect(Port, OsPid, DeadlineMs, Output) ->
    receive
        {Port, {data, Data}} ->
            collect(Port, OsPid, DeadlineMs, last(<<Output/binary, Data/binary>>));
        {Port, {exit_status, ?GO_ON_STATUS}} -> {ok, go_on, Output};
        {Port, {exit_status, _}} -> {ok, stop, Output}
    after max(0, DeadlineMs - erlang:monotonic_time(millisecond)) ->
            kill(OsPid),
            close(Port),
            {error, look_timeout}
    end.

close(Port) ->
    try port_close(Port)
    catch error:badarg -> ok % it has ended meanwhile
    end,
    flush(Port).

flush(Port) ->
    receive {Port, _} -> flush(Port)
    after 0 -> ok
    end.

last(Output) ->
    binary_part(Output, byte_size(Output), -min(byte_size(Output), ?OUTPUT_BYTES_MAX)).

%% A port's program leads a process group of its own.
kill({os_pid, OsPid}) ->
    _ = os:cmd(io_lib:format("kill -KILL -~b", [OsPid])),
    ok;
kill(undefined) ->
    ok.
