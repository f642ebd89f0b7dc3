package react

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"proofhouse/internal/chat"
)

// edit is how a file was before a change; absent if it was not there.
type edit struct {
	text   string
	absent bool
}

// maxUndo is how many changes of one file can be undone.
const maxUndo = 20

// shown is how many lines round a change are shown.
const shown = 4

// edit is the tool text_editor.
func (t *toolbox) edit(ctx context.Context, args json.RawMessage) (string, *chat.ToolError, error) {
	var in struct {
		Command    string  `json:"command"`
		Path       string  `json:"path"`
		FileText   *string `json:"file_text"`
		InsertLine *int    `json:"insert_line"`
		NewStr     *string `json:"new_str"`
		InsertText *string `json:"insert_text"` // as the vendor's own tool has it
		OldStr     *string `json:"old_str"`
		ViewRange  []int   `json:"view_range"`
	}
	if fault := decode(args, &in); fault != nil {
		return "", fault, nil
	}
	if !path.IsAbs(in.Path) || strings.ContainsRune(in.Path, 0) {
		return "", &chat.ToolError{Type: "parsing", Message: "path must be absolute, such as /out/make.sh"}, nil
	}
	name := path.Clean(in.Path)
	if in.NewStr == nil {
		in.NewStr = in.InsertText
	}
	switch in.Command {
	case "view":
		return t.view(ctx, name, in.ViewRange)
	case "create":
		if in.FileText == nil {
			return "", missing("file_text"), nil
		}
		old, fault, err := t.read(ctx, name)
		if err != nil || fault != nil && fault.Type != "file_not_found" {
			return "", fault, err
		}
		if fault, err := t.write(ctx, name, *in.FileText, edit{old, fault != nil}); fault != nil || err != nil {
			return "", fault, err
		}
		return fmt.Sprintf("%s is written: %d bytes.", name, len(*in.FileText)), nil, nil
	case "str_replace":
		if in.OldStr == nil || *in.OldStr == "" {
			return "", missing("old_str"), nil
		}
		put := ""
		if in.NewStr != nil {
			put = *in.NewStr
		}
		return t.change(ctx, name, func(old string) (string, int, *chat.ToolError) {
			switch n := strings.Count(old, *in.OldStr); n {
			case 1:
			case 0:
				return "", 0, &chat.ToolError{Type: "unknown", Message: "nothing was changed: old_str does not occur in " + name}
			default:
				return "", 0, &chat.ToolError{Type: "unknown", Message: fmt.Sprintf("nothing was changed: old_str occurs %d times in %s, and must occur once", n, name)}
			}
			at := strings.Index(old, *in.OldStr)
			return old[:at] + put + old[at+len(*in.OldStr):], strings.Count(old[:at], "\n") + 1, nil
		}, strings.Count(put, "\n"))
	case "insert":
		if in.InsertLine == nil {
			return "", missing("insert_line"), nil
		}
		if in.NewStr == nil {
			return "", missing("new_str"), nil
		}
		return t.change(ctx, name, func(old string) (string, int, *chat.ToolError) {
			lines := strings.SplitAfter(old, "\n")
			if lines[len(lines)-1] == "" {
				lines = lines[:len(lines)-1]
			}
			at := *in.InsertLine
			if at < 0 || at > len(lines) {
				return "", 0, &chat.ToolError{Type: "unknown", Message: fmt.Sprintf("insert_line is from 0 to %d, the number of lines", len(lines))}
			}
			before, after := strings.Join(lines[:at], ""), strings.Join(lines[at:], "")
			if before != "" && !strings.HasSuffix(before, "\n") {
				before += "\n"
			}
			put := *in.NewStr
			if after != "" && !strings.HasSuffix(put, "\n") {
				put += "\n"
			}
			return before + put + after, at + 1, nil
		}, strings.Count(*in.NewStr, "\n"))
	case "undo_edit":
		return t.takeBack(ctx, name)
	}
	return "", &chat.ToolError{Type: "parsing", Message: "command is view, create, str_replace, insert or undo_edit"}, nil
}

// change rewrites a file and shows the lines round the change.
func (t *toolbox) change(ctx context.Context, name string, rule func(old string) (next string, line int, fault *chat.ToolError), lines int) (string, *chat.ToolError, error) {
	old, fault, err := t.read(ctx, name)
	if fault != nil || err != nil {
		return "", fault, err
	}
	next, line, fault := rule(old)
	if fault != nil {
		return "", fault, nil
	}
	if fault, err := t.write(ctx, name, next, edit{text: old}); fault != nil || err != nil {
		return "", fault, err
	}
	return fmt.Sprintf("%s is changed. It now reads:\n%s", name, t.numbered(next, line-shown, line+lines+shown)), nil, nil
}

func (t *toolbox) takeBack(ctx context.Context, name string) (string, *chat.ToolError, error) {
	past := t.undo[name]
	if len(past) == 0 {
		return "", &chat.ToolError{Type: "unknown", Message: "there is no edit of " + name + " to undo"}, nil
	}
	last := past[len(past)-1]
	if last.absent {
		if text, fault, err := t.shell(ctx, []string{"/bin/sh", "-c", `rm -f -- "$1"`, "sh", name}, nil); fault != nil || err != nil || text != "" {
			return text, fault, err
		}
	} else if fault, err := t.put(ctx, name, last.text); fault != nil || err != nil {
		return "", fault, err
	}
	t.undo[name] = past[:len(past)-1]
	return "The last edit of " + name + " is undone.", nil, nil
}

func (t *toolbox) view(ctx context.Context, name string, lines []int) (string, *chat.ToolError, error) {
	const list = `if [ -d "$1" ]; then find "$1" -maxdepth 2 -not -path '*/.*' | sort; else exit 9; fi`
	res, err := t.exec(ctx, []string{"/bin/sh", "-c", list, "sh", name}, nil)
	if err != nil {
		return "", &chat.ToolError{Type: "unknown", Message: name + " cannot be shown"}, t.ours(ctx, err)
	}
	if res.Exit != 9 {
		if len(lines) > 0 {
			return "", &chat.ToolError{Type: "is_a_directory", Message: name + " is a folder: view_range is for files"}, nil
		}
		return cut("Files and folders, up to two levels deep, in "+name+", hidden ones left out:\n"+joined(res.Stdout)+joined(res.Stderr), t.output), nil, nil
	}
	text, fault, err := t.read(ctx, name)
	if fault != nil || err != nil {
		return "", fault, err
	}
	first, last, total := 1, -1, strings.Count(text, "\n")+1
	if len(lines) > 0 {
		if len(lines) != 2 {
			return "", &chat.ToolError{Type: "parsing", Message: "view_range is two numbers: the first and the last line"}, nil
		}
		first, last = lines[0], lines[1]
	}
	if last == -1 {
		last = total
	}
	if first < 1 || first > total || last < first {
		return "", &chat.ToolError{Type: "parsing", Message: fmt.Sprintf("view_range lies within 1 and %d, the number of lines", total)}, nil
	}
	return cut(t.numbered(text, first, last), t.output), nil, nil
}

// numbered are the lines of a text from first to last, as cat -n shows them.
func (t *toolbox) numbered(text string, first, last int) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if n := i + 1; n >= first && n <= last {
			fmt.Fprintf(&b, "%6d\t%s\n", n, line)
		}
	}
	return cut(b.String(), t.output)
}

// read is a file's text.
func (t *toolbox) read(ctx context.Context, name string) (string, *chat.ToolError, error) {
	const show = `if [ -d "$1" ]; then exit 9; elif [ ! -e "$1" ]; then exit 8; elif [ ! -f "$1" ]; then exit 7; else exec cat -- "$1"; fi`
	res, err := t.exec(ctx, []string{"/bin/sh", "-c", show, "sh", name}, nil)
	switch {
	case err != nil:
		return "", &chat.ToolError{Type: "unknown", Message: name + " cannot be read"}, t.ours(ctx, err)
	case res.Limit != "":
		return "", &chat.ToolError{Type: "timeout", Message: name + " cannot be read in time"}, nil
	case res.Exit == 9:
		return "", &chat.ToolError{Type: "is_a_directory", Message: name + " is a folder"}, nil
	case res.Exit == 8:
		return "", &chat.ToolError{Type: "file_not_found", Message: "there is no file " + name}, nil
	case res.Exit == 7:
		return "", &chat.ToolError{Type: "unknown", Message: name + " is no regular file"}, nil
	case res.Exit != 0:
		return "", &chat.ToolError{Type: "permission", Message: name + " cannot be read: " + clip(joined(res.Stderr))}, nil
	case res.Stdout.Dropped > 0:
		return "", &chat.ToolError{Type: "output_limit", Message: name + " is too large for the editor: use bash"}, nil
	}
	text := joined(res.Stdout)
	if !utf8.ValidString(text) {
		return "", &chat.ToolError{Type: "unicode_decode", Message: name + " is no text: use bash, such as xxd"}, nil
	}
	return text, nil, nil
}

// write puts a text into a file and remembers how it was.
func (t *toolbox) write(ctx context.Context, name, text string, was edit) (*chat.ToolError, error) {
	if fault, err := t.put(ctx, name, text); fault != nil || err != nil {
		return fault, err
	}
	t.undo[name] = append(t.undo[name], was)
	if n := len(t.undo[name]); n > maxUndo {
		t.undo[name] = t.undo[name][n-maxUndo:]
	}
	return nil, nil
}

func (t *toolbox) put(ctx context.Context, name, text string) (*chat.ToolError, error) {
	const store = `mkdir -p -- "$(dirname -- "$1")" && cat > "$1"`
	res, err := t.exec(ctx, []string{"/bin/sh", "-c", store, "sh", name}, []byte(text))
	switch {
	case err != nil:
		return &chat.ToolError{Type: "unknown", Message: name + " cannot be written"}, t.ours(ctx, err)
	case res.Limit != "":
		return &chat.ToolError{Type: "timeout", Message: name + " cannot be written in time"}, nil
	case res.Exit != 0 || res.Signal != 0:
		return &chat.ToolError{Type: "permission", Message: name + " cannot be written: " + clip(joined(res.Stderr))}, nil
	}
	return nil, nil
}
