%% @doc Flags of the measured BEAMs. Those of production often stand in a file (`-args_file vm.args'): it is
%% read as `erl' reads it, and its words take its place. What says there who the node is, and who restarts
%% it, is left out: a measured BEAM is nobody, and there are two at a time.
%% @private
-module(router_bench_flags).

-export([expand/1]).

%% How a BEAM boots, what it loads and what it is called is the bench's own.
-define(OWN, ["-boot", "-mode", "-user", "-name", "-sname", "-pa", "-pz", "-s", "-run", "-eval",
              "-noinput", "-detached", "-heart", "-extra", "--"]).
%% The same in a file, with how many values each has.
-define(LEFT_OUT, #{"-name" => 1, "-sname" => 1, "-setcookie" => 1, "-heart" => 0, "-noinput" => 0,
                    "-detached" => 0}).

%% @doc The flags with those of files in their place, from the working directory on; an error says what a
%% list of flags has to be.
-spec expand([string()]) -> {ok, [string()]} | {error, Expected :: string()}.
expand(Flags) ->
    expand(Flags, none, [], []).

%% `File': where these stand; `Outer': the files that lead to it.
expand([], _File, _Outer, Found) ->
    {ok, lists:reverse(Found)};
expand(["-args_file"], File, _Outer, _Found) ->
    {error, lists:flatten(["a file after -args_file", in(File)])};
expand(["-args_file", Name | Rest], File, Outer, Found) ->
    case of_file(Name, Outer) of
        {ok, Flags} -> expand(Rest, File, Outer, lists:reverse(Flags, Found));
        {error, Expected} -> {error, lists:flatten(Expected)}
    end;
expand([Flag | Rest], File, Outer, Found) ->
    case {?LEFT_OUT, lists:member(Flag, ?OWN)} of
        {#{Flag := Values}, _} when File =/= none ->
            expand(lists:nthtail(min(Values, length(Rest)), Rest), File, Outer, Found);
        {_, true} ->
            {error, lists:flatten(["flags without ", Flag, in(File), ", which is the bench's own: it boots "
                                   "the BEAM, and init/1 starts the router"])};
        {_, false} ->
            expand(Rest, File, Outer, [Flag | Found])
    end.

in(none) -> "";
in(File) -> [" in ", File].

of_file(Name, Outer) ->
    case {lists:member(Name, Outer), file:read_file(Name)} of
        {true, _} -> {error, ["files that do not lead back to ", Name]};
        {false, {ok, Text}} -> expand(words(unicode:characters_to_list(Text)), Name, [Name | Outer], []);
        {false, {error, Reason}} -> {error, ["a file at ", Name, " (", file:format_error(Reason), ")"]}
    end.

%% Words with white space between; `#' begins a comment, `\' quotes a character, quotation marks quote many.
words(Text) -> words(Text, none, []).

words([], Word, Words) ->
    lists:reverse(ended(Word, Words));
words([$# | Rest], Word, Words) ->
    words(lists:dropwhile(fun(C) -> C =/= $\n end, Rest), none, ended(Word, Words));
words([$\\, C | Rest], Word, Words) ->
    words(Rest, added([C], Word), Words);
words([Mark | Rest], Word, Words) when Mark =:= $"; Mark =:= $' ->
    {Quoted, After} = quoted(Rest, Mark, []),
    words(After, added(Quoted, Word), Words);
words([C | Rest], Word, Words) when C =:= $\s; C =:= $\t; C =:= $\n; C =:= $\r; C =:= $\f ->
    words(Rest, none, ended(Word, Words));
words([C | Rest], Word, Words) ->
    words(Rest, added([C], Word), Words).

quoted([], _Mark, Found) -> {lists:reverse(Found), []};
quoted([Mark | Rest], Mark, Found) -> {lists:reverse(Found), Rest};
quoted([$\\, C | Rest], Mark, Found) -> quoted(Rest, Mark, [C | Found]);
quoted([C | Rest], Mark, Found) -> quoted(Rest, Mark, [C | Found]).

added(Text, none) -> Text;
added(Text, Word) -> Word ++ Text.

ended(none, Words) -> Words;
ended(Word, Words) -> [Word | Words].
