%% @doc BEAMs on other machines. Nothing has to be there but an `erl' of the same Erlang/OTP release and
%% architecture: code and native library are sent, and nothing of them stays when the BEAM has ended.
%%
%% How such a BEAM is started is told by a module, of which `ssh' is the bench's own. Whatever it starts is
%% controlled over its standard input and output, which are the only way to it: it listens on nothing.
-module(router_bench_far).

-export([beam/3]).
-export([start/1]).

-export_type([way/0]).

%% A program of this machine, and its first arguments; those of `erl' follow. `shell': they pass a shell
%% there, so they are quoted.
-type way() :: #{exec := {file:filename(), [string()]}, shell => boolean()}.

%% Says how a BEAM is started where the argument means, which is the text after the module's name in a place
%% `Module:Text'. Standard input and output of the program must become those of `erl', and the end of its
%% input must end it. Called in a process that ends with the answer, which takes `callback_timeout_ms' at most.
-callback start(Argument :: binary()) -> {ok, way()} | {error, Reason :: term()}.

%% Who is called there by the conductor.
-define(ROOTS, [router_bench_driver, router_bench_names, router_bench_cluster, router_bench_env]).
%% Loaded when the native library is there.
-define(NATIVE, router_bench_nif).
-define(DIR, "/tmp/router_bench_far.").
-define(RANDOM_BYTES, 16).
%% The BEAM ends by itself that much after the run's limit, should nobody be able to tell it.
-define(GRACE_MS, 60000).
%% For each part of what is sent, over a slow connection too.
-define(SENDING_MS, 120000).

%% No question is asked, a host must be known, and a connection that says nothing for a while has gone.
-define(SSH, ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=5",
              "-o", "ServerAliveCountMax=3", "--"]).
%% What shapes an emulator must not come from the other machine's profile either.
-define(UNSET, ["ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ERL_LIBS", "ERL_FULLSWEEP_AFTER", "ERL_MAX_ETS_TABLES",
                "ERL_MAX_PORTS", "ERL_THREAD_POOL_SIZE"]).

%% @doc The way by ssh.
%% @private
-spec start(Destination :: binary()) -> {ok, way()} | {error, term()}.
start(Destination) ->
    case {re:run(Destination, "\\A[A-Za-z0-9_][A-Za-z0-9_.@:-]*\\z", [{capture, none}]),
          os:find_executable("ssh")} of
        {nomatch, _} -> {error, {no_destination, Destination}};
        {_, false} -> {error, no_ssh};
        {match, Ssh} ->
            Unset = lists:append([["-u", Name] || Name <- ?UNSET]),
            {ok, #{exec => {Ssh, ?SSH ++ [binary_to_list(Destination), "env"] ++ Unset ++ ["erl"]}, shell => true}}
    end.

%% @doc Starts one, and gives it what a driver takes. Linked to the caller.
-spec beam(router_bench_plan:plan(), {module(), binary()}, DeadlineMs :: integer()) ->
          {ok, router_bench_place:place()} | {error, term()}.
beam(Plan, {Module, Argument}, DeadlineMs) ->
    case way(Module, Argument, Plan) of
        {ok, Way} ->
            case router_bench_place:far(Plan, Way) of
                {ok, Place} ->
                    case equipped(router_bench_place:caller(Place, ?SENDING_MS, DeadlineMs), Plan) of
                        ok ->
                            {ok, Place};
                        {error, Reason} ->
                            ok = router_bench_place:stop(Place),
                            {error, Reason}
                    end;
                {error, Reason} ->
                    {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

way(Name, Argument, #{callback_timeout_ms := LimitMs}) ->
    Module = by(Name),
    Callback = {Module, start, 1},
    Caller = self(),
    {Asked, Monitor} = spawn_opt(fun() ->
        Caller ! {self(), try {said, Module:start(Argument)}
                          catch Class:Reason:Stack -> {error, {adapter_failed, Callback, {Class, Reason, Stack}}}
                          end}
    end, [link, monitor]),
    receive
        {Asked, Answer} ->
            true = demonitor(Monitor, [flush]),
            named(Answer, Name, Callback)
    after LimitMs ->
            true = unlink(Asked),
            true = exit(Asked, kill),
            receive {'DOWN', Monitor, process, Asked, _} -> {error, {no_return, Callback, LimitMs}} end
    end.

named({said, {ok, #{exec := {_, _}} = Way}}, _Name, _Callback) -> {ok, Way};
named({said, {error, Reason}}, Name, _Callback) -> {error, {no_way, Name, Reason}};
named({said, Answer}, _Name, Callback) -> {error, {bad_return, Callback, Answer}};
named({error, Reason}, _Name, _Callback) -> {error, Reason}.

by(ssh) -> ?MODULE;
by(Module) -> Module.

equipped(Call, #{adapter := Adapter, timeout_ms := TimeoutMs}) ->
    case [{What, Theirs, Ours} || What <- [otp_release, system_architecture],
                                  Theirs <- [Call(erlang, system_info, [What])],
                                  Ours <- [erlang:system_info(What)], Theirs =/= Ours] of
        [{_, {error, Reason}, _} | _] ->
            {error, Reason};
        [{What, Theirs, Ours} | _] ->
            {error, {other_erlang, What, Theirs, Ours}};
        [] ->
            case Call(timer, apply_after, [TimeoutMs + ?GRACE_MS, erlang, halt, [1]]) of
                {ok, _} -> loaded(Call, router_bench_luggage:far([Adapter | ?ROOTS]));
                {error, Reason} -> {error, Reason}
            end
    end.

loaded(Call, Modules) ->
    {value, Native, Others} = lists:keytake(?NATIVE, 1, Modules),
    case Call(code, atomic_load, [Others]) of
        ok -> native(Call, Native);
        {error, Reason} -> {error, {not_sent, Reason}}
    end.

%% The file is there until it has been loaded.
native(Call, {Module, File, Code}) ->
    Dir = ?DIR ++ binary_to_list(binary:encode_hex(crypto:strong_rand_bytes(?RANDOM_BYTES))),
    Library = filename:join(Dir, "librouter_bench_nif"),
    {ok, Native} = file:read_file(router_bench_nif:library() ++ ".so"),
    try
        maybe_all([{file, make_dir, [Dir]}, {file, change_mode, [Dir, 8#700]},
                   {file, write_file, [Library ++ ".so", Native]},
                   {application, load, [router_bench_luggage:description(Library)]},
                   {code, load_binary, [Module, File, Code]}], Call)
    after
        _ = Call(file, delete, [Library ++ ".so"]),
        Call(file, del_dir, [Dir])
    end.

maybe_all([], _Call) ->
    ok;
maybe_all([{Module, Function, Arguments} | Rest], Call) ->
    case Call(Module, Function, Arguments) of
        ok -> maybe_all(Rest, Call);
        {module, _} -> maybe_all(Rest, Call);
        {error, on_load_failure} -> {error, native_library_not_loaded};
        {error, Reason} -> {error, {not_sent, Reason}}
    end.
