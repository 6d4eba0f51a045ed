%% @doc What a node that runs already has to be given to be measured: the modules of the bench that run
%% there, the adapter with what of its application it needs, and the native library.
%% @private
-module(router_bench_luggage).

-export([pack/2, far/1, description/1, guardian/0, router/0]).

-export_type([own/0]).

-type own() :: {module(), file:filename(), Code :: binary(), Digest :: binary()}.

%% Whose user may write there, on every node.
-define(DIR, "/tmp/router_bench_native.").
-define(LIBRARY, "librouter_bench_nif").

%% @doc The modules that some roots call, as far as they are the bench's or of the adapter's application, if
%% that is not the router's; the description of an application, which leads to the native library; the
%% library, and where a node is to have it: no other build and no other node has it there.
-spec pack([module()], node()) ->
          #{modules := [own()], application := {application, atom(), [tuple()]},
            library := {file:filename(), Code :: binary()}}.
pack(Roots, Node) ->
    Own = maps:from_list([{Root, code:which(Root)} || Root <- Roots]),
    Dirs = [Dir || Dir <- router_bench_frozen:bench_path(),
                   lists:member(Dir, [filename:dirname(filename:absname(F)) || F <- maps:values(Own)])],
    Files = maps:merge(maps:from_list([{module(File), File} || Dir <- Dirs, File <- beams(Dir)]), Own),
    {ok, Code} = file:read_file(router_bench_nif:library() ++ ".so"),
    Name = binary_to_list(binary:encode_hex(erlang:md5([Code, atom_to_binary(Node)]))),
    Library = filename:join(?DIR ++ Name, ?LIBRARY),
    #{modules => [own(Module, Files) || Module <- called(Roots, Files, []),
                                        Module =/= router_bench_guardian],
      application => description(Library),
      library => {Library, Code}}.

%% @doc The same for a BEAM in which nothing is but OTP: what the roots call, of all that this VM has.
-spec far([module()]) -> [{module(), file:filename(), Code :: binary()}].
far(Roots) ->
    Dirs = lists:reverse(router_bench_frozen:code_path(own)),
    Files = maps:from_list([{module(File), File} || Dir <- Dirs, File <- beams(Dir)]),
    [{Module, File, Code} || Found <- called(Roots, Files, []), {Module, File, Code, _} <- [own(Found, Files)]].

%% @doc What loads the rest.
-spec guardian() -> own().
guardian() ->
    own(router_bench_guardian, #{router_bench_guardian => code:which(router_bench_guardian)}).

%% @doc The modules that are measured, as they are built here.
-spec router() -> [{module(), Digest :: binary()}].
router() ->
    [digest(File) || Dir <- router_bench_frozen:project_path(own), File <- beams(Dir)].

%% A module is called by its name, which stands among the atoms also where it is chosen at run time. What
%% is named in vain comes along too.
called([], _Files, Found) ->
    Found;
called([Module | Rest], Files, Found) ->
    case lists:member(Module, Found) of
        true ->
            called(Rest, Files, Found);
        false ->
            {ok, {Module, [{atoms, Atoms}]}} = beam_lib:chunks(maps:get(Module, Files), [atoms]),
            Called = [Atom || {_, Atom} <- Atoms, is_map_key(Atom, Files), Atom =/= Module],
            called(Called ++ Rest, Files, [Module | Found])
    end.

own(Module, Files) ->
    #{Module := File} = Files,
    {ok, Code} = file:read_file(File),
    {Module, Digest} = digest(File),
    {Module, filename:absname(File), Code, Digest}.

digest(File) ->
    {ok, {Module, Digest}} = beam_lib:md5(File),
    {Module, Digest}.

%% @doc The application, with where the native library is, since no code path there leads to it.
-spec description(Library :: file:filename()) -> {application, atom(), [tuple()]}.
description(Library) ->
    _ = application:load(router_bench),
    {ok, Version} = application:get_key(router_bench, vsn),
    {application, router_bench,
     [{description, "router_bench, for as long as it is attached"}, {vsn, Version}, {modules, []},
      {registered, []}, {applications, [kernel, stdlib]}, {env, [{native_library, Library}]}]}.

beams(Dir) ->
    filelib:wildcard(filename:join(Dir, "*.beam")).

module(File) ->
    list_to_atom(filename:basename(File, ".beam")).
