#!/usr/bin/env escript
%% Builds the documentation of the Erlang modules, and finds what it lacks.
%%
%% Usage: scripts/docs.escript [OUT [FILE...]]     (_build/edoc, every module of erlang/*/src)
%% Exit: 0 built; 1 built or not, and something is wrong, a line each; 2 wrong usage.
%% Writes: OUT.
%%
%% Wrong is: what EDoc warns of; a module or an exported function without a word, or a function without a
%% specification; a link from one page to a place that is none. What is `@private' has no page, is linked by
%% none, and is looked at all the same; a function that is needs no word, as its behaviour has it.

-mode(compile).
-include_lib("xmerl/include/xmerl.hrl").

main(["--help"]) ->
    io:put_chars("usage: scripts/docs.escript [OUT [FILE...]]\n");
main(["-" ++ _ = Unknown | _]) ->
    io:format(standard_error, "docs.escript: unknown argument ~ts; see --help~n", [Unknown]),
    halt(2);
main(Arguments) ->
    Root = filename:dirname(filename:dirname(filename:absname(escript:script_name()))),
    {Out, Files} = case Arguments of
                       [] -> {filename:join(Root, "_build/edoc"), modules(Root)};
                       [Dir] -> {Dir, modules(Root)};
                       [Dir | Named] -> {Dir, Named}
                   end,
    _ = file:del_dir_r(Out),
    ok = filelib:ensure_dir(filename:join(Out, "any")),
    {Warnings, Documents} = said(fun() -> [{File, document(File)} || File <- Files] end),
    {More, _} = said(fun() -> edoc:files(Files, [{dir, Out} | options()]) end),
    ok = lists:foreach(fun(Page) -> without_links(Page, private(Documents)) end, pages(Out)),
    Found = lists:usort(Warnings ++ More) ++ lists:append([missing(File, Xml) || {File, Xml} <- Documents])
        ++ dead_links(Out),
    io:put_chars([[Line, $\n] || Line <- Found]),
    io:format("~b modules, ~b pages in ~ts, ~b problems~n",
              [length(Files), length(pages(Out)), Out, length(Found)]),
    halt(case Found of [] -> 0; _ -> 1 end).

modules(Root) ->
    [_ | _] = lists:append([filelib:wildcard(filename:join([Root, "erlang", "*", "src", Files]))
                            || Files <- ["*.erl", "*/*.erl"]]).

options() ->
    [{preprocess, true}, {sort_functions, false}, {pretty_printer, erl_pp}].

document(File) ->
    try edoc:get_doc(File, [{private, true} | options()]) of
        {_Module, Xml} -> Xml
    catch
        _:Reason -> {failed, Reason}
    end.

%% What a call says on the console, line by line: EDoc has no other way to warn.
said(Call) ->
    Console = group_leader(),
    Ear = spawn_link(fun() -> hear([]) end),
    true = group_leader(Ear, self()),
    Answer = try Call()
             catch Class:Reason -> io:format("~p: ~tp~n", [Class, Reason])
             end,
    true = group_leader(Console, self()),
    Ear ! {tell, self()},
    receive
        {Ear, Heard} ->
            {[Line || Line <- string:split(unicode:characters_to_list(Heard), "\n", all), Line =/= ""],
             Answer}
    end.

hear(Heard) ->
    receive
        {io_request, From, ReplyAs, {put_chars, _Encoding, Characters}} ->
            From ! {io_reply, ReplyAs, ok},
            hear([Heard, Characters]);
        {io_request, From, ReplyAs, {put_chars, _Encoding, Module, Function, Arguments}} ->
            From ! {io_reply, ReplyAs, ok},
            hear([Heard, apply(Module, Function, Arguments)]);
        {io_request, From, ReplyAs, _Other} ->
            From ! {io_reply, ReplyAs, {error, enotsup}},
            hear(Heard);
        {tell, Asking} ->
            Asking ! {self(), Heard}
    end.

%% Of every module, those of the inside too: whoever works on one reads it.
missing(File, {failed, Reason}) ->
    [io_lib:format("~ts: ~tP", [File, Reason, 12])];
missing(File, Xml) ->
    Functions = xmerl_xpath:string("functions/function[@exported='yes']", Xml),
    [io_lib:format("~ts: the module has no @doc", [File])
     || xmerl_xpath:string("description/fullDescription", Xml) =:= []]
        ++ [io_lib:format("~ts: ~ts has no ~s", [File, name(Function), What])
            || Function <- Functions,
               {What, Path} <- [{"@doc", "description"}, {"-spec", "typespec"}],
               xmerl_xpath:string(Path, Function) =:= [],
               What =:= "-spec" orelse attribute(private, Function) =/= "yes"].

name(Function) ->
    [attribute(name, Function), $/, attribute(arity, Function)].

attribute(Name, #xmlElement{attributes = Attributes}) ->
    case lists:keyfind(Name, #xmlAttribute.name, Attributes) of
        #xmlAttribute{value = Value} -> Value;
        false -> ""
    end.

%% What has no page is no link.

private(Documents) ->
    [attribute(name, Xml) || {_File, #xmlElement{} = Xml} <- Documents, attribute(private, Xml) =:= "yes"].

without_links(_Page, []) ->
    ok;
without_links(Page, Private) ->
    Pattern = ["<a [^>]*href=\"(?:", lists:join($|, Private), ")\\.html(?:#[^\"]*)?\"[^>]*>(.*?)</a>"],
    Text = re:replace(content(Page), Pattern, "\\1", [global, dotall]),
    ok = file:write_file(Page, Text).

pages(Out) ->
    filelib:wildcard(filename:join(Out, "*.html")).

dead_links(Out) ->
    Pages = [{filename:basename(Page), content(Page)} || Page <- pages(Out)],
    [io_lib:format("~ts: links ~ts, which is nowhere", [Page, Link])
     || {Page, Text} <- Pages, Link <- lists:usort(found(Text, "\\shref=\"([^\"]*)\"")),
        not is_there(Page, Link, Pages, Out)].

is_there(Page, Link, Pages, Out) ->
    case string:split(Link, "#") of
        [_] when Link =:= "" -> false;
        ["http" ++ _ | _] -> true;
        ["" , Anchor] -> has(Anchor, Page, Pages);
        [Other, Anchor] -> has(Anchor, Other, Pages);
        [Other] -> filelib:is_regular(filename:join(Out, Other))
    end.

has(Anchor, Page, Pages) ->
    case lists:keyfind(Page, 1, Pages) of
        {Page, Text} -> lists:member(Anchor, found(Text, "(?:name|id)=\"([^\"]*)\""));
        false -> false
    end.

found(Text, Pattern) ->
    case re:run(Text, Pattern, [global, {capture, all_but_first, list}]) of
        {match, Found} -> [One || [One] <- Found];
        nomatch -> []
    end.

content(File) ->
    {ok, Content} = file:read_file(File),
    Content.
