%% @doc The frozen build of a replay: the applications of another commit, measured under this one's
%% bench.
%%
%% Tool and requests are the same on both sides: `router_bench', its native library and every
%% application that names `router_bench' among the applications it needs (an adapter of its own)
%% come from the candidate, and libraries of the machine (`ERL_LIBS') from where they are. Everything
%% else on the frozen side comes from the frozen build, and nothing of the candidate's that could stand in
%% for it is even in reach. An adapter that lives in
%% the router's own application comes with the router.
%% @private
-module(router_bench_frozen).

-export([load/2, code_path/1, project_path/1, bench_path/0, check/1, bench_applications/0]).

-export_type([build/0, code/0]).

%% Applications by name, each with the directory of its modules; the directories that the bench
%% brings.
-type build() :: #{applications := #{atom() => file:filename()},
                   bench_path := [file:filename()]}.
%% What a block is measured with: this VM's own code, or a frozen build.
-type code() :: own | build().

%% @doc The build in a directory of applications, as rebar3's `lib' is one. An error is a sentence.
-spec load(file:filename_all(), Adapter :: module()) -> {ok, build()} | {error, string()}.
load(LibDir, Adapter) ->
    Bench = bench_applications(),
    Found = applications(filelib:wildcard(filename:join([text(LibDir), "*", "ebin"]))),
    Frozen = maps:map(fun(_, #{dir := Dir}) -> filename:absname(Dir) end,
                      maps:without(Bench, Found)),
    BenchPath = [Dir || Dir <- own_path(), of_bench(Dir, Bench) orelse of_machine(Dir, Frozen)],
    AdapterFile = atom_to_list(Adapter) ++ ".beam",
    Has = fun(Dir) -> filelib:is_regular(filename:join(Dir, AdapterFile)) end,
    case {map_size(Frozen), lists:any(Has, BenchPath ++ maps:values(Frozen))} of
        {0, _} ->
            {error, says("~ts holds no application but the bench's own", [LibDir])};
        {_, false} ->
            {error, says("adapter ~s is neither in ~ts nor in an application that needs "
                         "router_bench", [Adapter, LibDir])};
        {_, true} ->
            {ok, #{applications => Frozen, bench_path => [filename:absname(D) || D <- BenchPath]}}
    end.

says(Format, Arguments) ->
    lists:flatten(io_lib:format(Format, Arguments)).

text(Name) when is_binary(Name) -> unicode:characters_to_list(Name);
text(Name) -> Name.

%% @doc The directories of a peer's code, the first one first.
-spec code_path(code()) -> [file:filename()].
code_path(own) ->
    [filename:absname(Dir) || Dir <- own_path()];
code_path(#{applications := Applications, bench_path := BenchPath}) ->
    maps:values(Applications) ++ BenchPath.

%% @doc The directories among them that hold what is measured: neither the bench's own nor the machine's.
-spec project_path(code()) -> [file:filename()].
project_path(own) ->
    Bench = bench_applications(),
    [filename:absname(Dir) || Dir <- own_path(), not of_bench(Dir, Bench), not of_machine(Dir, #{})];
project_path(#{applications := Applications}) ->
    maps:values(Applications).

%% @doc The directories of the applications that always come from the candidate.
-spec bench_path() -> [file:filename()].
bench_path() ->
    Bench = bench_applications(),
    [filename:absname(Dir) || Dir <- own_path(), of_bench(Dir, Bench)].

%% @doc Whether every module of the frozen applications comes from the frozen build in this VM, and
%% names one that does not. A replay that measured the candidate twice would always be green.
-spec check(code()) -> ok | {error, {not_frozen, module(), From :: term()}}.
check(own) ->
    ok;
check(#{applications := Applications}) ->
    first_strange([{list_to_atom(filename:basename(File, ".beam")), File}
                   || Dir <- maps:values(Applications),
                      File <- filelib:wildcard(filename:join(Dir, "*.beam"))]).

first_strange([]) ->
    ok;
first_strange([{Module, File} | Rest]) ->
    case code:which(Module) of
        File -> first_strange(Rest);
        Other -> {error, {not_frozen, Module, Other}}
    end.

%% @doc The applications that always come from the candidate.
-spec bench_applications() -> [atom()].
bench_applications() ->
    [router_bench | [Name || {Name, #{needs := Needs}} <- maps:to_list(applications(own_path())),
                             Name =/= router_bench, lists:member(router_bench, Needs)]].

%% The code of this VM that is not OTP's own. Archives are left out: those are a build tool's.
own_path() ->
    Root = code:lib_dir(),
    [Dir || Dir <- code:get_path(), Dir =/= ".", not lists:prefix(Root, Dir), filelib:is_dir(Dir)].

applications(Dirs) ->
    maps:from_list([{Name, #{dir => Dir, needs => Needs}}
                    || Dir <- Dirs, {Name, Needs} <- described(Dir)]).

%% Every application file in a directory: a name and what it needs.
described(Dir) ->
    [{Name, proplists:get_value(applications, Properties, [])}
     || File <- filelib:wildcard(filename:join(Dir, "*.app")),
        {ok, [{application, Name, Properties}]} <- [file:consult(File)]].

%% A library of the machine (`ERL_LIBS') is in reach of both sides, where the frozen build has none of
%% its own of that name.
of_machine(Dir, Frozen) ->
    Libraries = [filename:absname(Root) ++ "/" || Root <- string:lexemes(os:getenv("ERL_LIBS", ""), ":")],
    lists:any(fun(Root) -> lists:prefix(Root, filename:absname(Dir)) end, Libraries)
        andalso not lists:any(fun({Name, _}) -> is_map_key(Name, Frozen) end, described(Dir)).

%% A directory belongs to the application described in it, or, as a directory of tests, beside it.
of_bench(Dir, Bench) ->
    Beside = filename:join(filename:dirname(Dir), "ebin"),
    lists:any(fun({Name, _}) -> lists:member(Name, Bench) end,
              case described(Dir) of
                  [] -> described(Beside);
                  Here -> Here
              end).
