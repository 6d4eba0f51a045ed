%% @doc What was measured, where, and with what: the fingerprint of a report.
%%
%% What cannot be read is left out, never guessed.
%% @private
-module(router_bench_env).

-export([vm/0, of_plan/1, clock/0, git/1]).

-export_type([vm/0, clock/0, git/0]).

-type vm() :: #{atom() => none | true | binary() | non_neg_integer() | map()}.
-type clock() :: #{source := binary(), resolution_ns := float(),
                   read_cost_ns := float()}.
-type git() :: #{commit => binary(), tree => binary(), dirty => boolean()}.

-define(GIT_TIMEOUT_MS, 10000).
%% Flags of `init' that say where something is, or that `load.distribution' tells of.
-define(PLACES, [root, bindir, progname, home, user, boot, pa, epmd_port, proto_dist, ssl_dist_optfile]).
%% Flags of `init' that say who somebody is, one of them a secret.
-define(NAMES, [name, sname, setcookie, nocookie, remsh]).

%% @doc The emulator and the machine that this code runs on.
-spec vm() -> vm().
vm() ->
    #{version := NifVersion, profile := Profile, source := Source} = router_bench_nif:info(),
    Emulator = #{otp_release => list_to_binary(erlang:system_info(otp_release)),
                 erts_version => list_to_binary(erlang:system_info(version)),
                 erts_flavor => flavor(),
                 vm_flags => vm_flags(),
                 schedulers_online => erlang:system_info(schedulers_online),
                 cpu_count => cpu_count(),
                 clock_source => Source,
                 nif_version => NifVersion,
                 router_bench_version => application_version(),
                 rust_profile => Profile},
    maps:merge(present(maps:merge(Emulator, node_facts())), router_bench_nif:machine()).

%% Of a node that ran already there is a guardian; a fresh BEAM is a node where `init/1' has made it one.
node_facts() ->
    maps:from_list([{attached, true} || whereis(router_bench_guardian) =/= undefined]
                   ++ [{distributed, true} || is_alive()]).

%% @doc What a report of a plan that runs in this VM will say of its environment. Only a router that is
%% reached through something has to be started for that.
-spec of_plan(router_bench_plan:plan()) -> {ok, vm()} | {error, Reason :: term()}.
of_plan(#{adapter := Adapter} = Plan) ->
    {module, Adapter} = code:ensure_loaded(Adapter),
    case erlang:function_exported(Adapter, transport, 1) of
        true ->
            case router_bench_router:with(Plan#{fault := none},
                                          fun(State) -> router_bench_router:transport(Adapter, State) end) of
                {ok, Transport} -> {ok, maps:merge(vm(), Transport)};
                {error, Reason} -> {error, Reason}
            end;
        false ->
            {ok, vm()}
    end.

present(Map) ->
    maps:filter(fun(_, Value) -> Value =/= unknown end, Map).

flavor() ->
    Flavor = atom_to_binary(erlang:system_info(emu_flavor)),
    case erlang:system_info(emu_type) of
        opt -> Flavor;
        Type -> <<Flavor/binary, "-", (atom_to_binary(Type))/binary>>
    end.

%% As the emulator and `init' took them, from whatever file or variable they came; without what says
%% where things are, or who the node is.
vm_flags() ->
    case file:read_file("/proc/self/cmdline") of
        {ok, Text} ->
            [_Program | Words] = binary:split(Text, <<0>>, [global, trim]),
            Emulator = [plus(Word) || Word <- lists:takewhile(fun(Word) -> Word =/= <<"--">> end, Words)],
            Init = [[[$-, atom_to_list(Flag)] | Values]
                    || {Flag, Values} <- init:get_arguments(), not lists:member(Flag, ?PLACES ++ ?NAMES)],
            unicode:characters_to_binary(lists:join($ , Emulator ++ lists:append(Init)));
        {error, _} ->
            unknown
    end.

%% `erl' hands the emulator's flags on with another sign.
plus(<<"-", Flag/binary>>) -> <<"+", Flag/binary>>;
plus(Value) -> Value.

cpu_count() ->
    case erlang:system_info(logical_processors_available) of
        unknown -> erlang:system_info(logical_processors_online);
        Count -> Count
    end.

application_version() ->
    _ = application:load(router_bench),
    case application:get_key(router_bench, vsn) of
        {ok, Version} -> list_to_binary(Version);
        undefined -> unknown
    end.

%% @doc The clock that times requests.
-spec clock() -> clock().
clock() ->
    maps:with([source, resolution_ns, read_cost_ns], router_bench_nif:info()).

%% @doc Commit and tree of the repository that a directory is in, and whether the work tree differs;
%% empty where git does not say.
%%
%% The repository alone decides: no variable of git's, which a hook sets, no replaced object, and no
%% setting that hides a change. What git complains of is shown, and is no part of an answer.
-spec git(file:filename_all()) -> git().
git(Dir) ->
    case run_git(Dir, ["rev-parse", "HEAD", "HEAD^{tree}"]) of
        {ok, Printed} ->
            Hash = "([0-9a-f]{40}|[0-9a-f]{64})",
            case re:run(Printed, "^" ++ Hash ++ "\n" ++ Hash ++ "$",
                        [{capture, all_but_first, binary}]) of
                {match, [Commit, Tree]} -> with_state(Dir, #{commit => Commit, tree => Tree});
                nomatch -> #{}
            end;
        error ->
            #{}
    end.

with_state(Dir, Git) ->
    case run_git(Dir, ["status", "--porcelain", "--untracked-files=normal",
                       "--ignore-submodules=none"]) of
        {ok, Changes} -> Git#{dirty => Changes =/= <<>>};
        error -> Git
    end.

run_git(Dir, Arguments) ->
    case os:find_executable("git") of
        false ->
            error;
        Git ->
            % No optional locks: looking at the state must not disturb another git.
            All = ["--no-optional-locks", "-c", "core.fsmonitor=false",
                   "-c", "safe.bareRepository=explicit",
                   "-c", "advice.graftFileDeprecated=false", "-C", Dir | Arguments],
            Port = open_port({spawn_executable, Git},
                             [{args, All}, {env, git_variables()}, binary, exit_status, hide]),
            collect(Port, <<>>)
    end.

git_variables() ->
    Set = #{"GIT_NO_REPLACE_OBJECTS" => "1", "GIT_GRAFT_FILE" => "/dev/null"},
    Names = [hd(string:split(Variable, "=")) || "GIT_" ++ _ = Variable <- os:getenv()],
    maps:to_list(maps:merge(maps:from_keys(Names, false), Set)).

collect(Port, Output) ->
    receive
        {Port, {data, Data}} -> collect(Port, <<Output/binary, Data/binary>>);
        {Port, {exit_status, 0}} -> {ok, string:trim(Output)};
        {Port, {exit_status, _}} -> error
    after ?GIT_TIMEOUT_MS ->
            port_close(Port),
            error
    end.
