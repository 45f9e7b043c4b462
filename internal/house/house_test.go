package house

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/bridgehead-mail/bridgehead/"

// mayImport has the folders at the top level, and those whose packages the packages
// of each may import. All may import internal. Tests may use the test helpers of other
// folders.
var mayImport = map[string][]string{
	"smtpserver": {},
	"smtpclient": {},
	"queue":      {},
	"policy":     {"smtpserver", "queue"},
	"routing":    {"queue", "smtpclient"},
	"examples":   {"smtpserver", "smtpclient", "queue", "policy", "routing"},
	"internal":   {},
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	files := 0
	for folder, allowed := range mayImport {
		walk(t, folder, func(path string) {
			if strings.HasSuffix(path, "_test.go") {
				return
			}
			files++
			for _, imp := range imports(t, path) {
				rest, ours := strings.CutPrefix(imp, module)
				if !ours {
					continue
				}
				to, _, _ := strings.Cut(rest, "/")
				if to != folder && to != "internal" && !slices.Contains(allowed, to) {
					t.Errorf("%s imports %s: %s may import only %v", path, rest, folder, allowed)
				}
			}
		})
	}
	if files < 20 {
		t.Errorf("only %d files seen: is the walk broken?", files)
	}
}

func TestTopLevelHasNoOtherFolders(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		_, known := mayImport[name]
		if !known && name[0] != '.' && !slices.Contains([]string{"go.mod", "go.sum", "README.md", "LICENSE"}, name) {
			t.Errorf("%s is at the top level", name)
		}
	}
}

// The documentation of a package is in its doc.go, so that a newcomer finds it.
func TestEveryPackageHasItsDoc(t *testing.T) {
	for folder := range mayImport {
		if folder == "internal" || folder == "examples" {
			continue
		}
		dirs := map[string]bool{}
		walk(t, folder, func(path string) {
			if !strings.HasSuffix(path, "_test.go") {
				dirs[filepath.Dir(path)] = true
			}
		})
		for dir := range dirs {
			b, err := os.ReadFile(filepath.Join(dir, "doc.go"))
			if err != nil {
				t.Errorf("%s has no doc.go", dir)
				continue
			}
			if !regexp.MustCompile(`(?m)^(// Package |Package )`).Match(b) {
				t.Errorf("%s/doc.go does not say what the package is for", dir)
			}
		}
	}
}

// The README's programs are real ones: they compile.
func TestREADMECompiles(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 2 {
		t.Fatalf("%d blocks of Go in the README", len(blocks))
	}
	// Below the module, so that its packages are found; below testdata, so
	// that no other build sees it.
	dir, err := os.MkdirTemp("testdata", "readme")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := blocks[0][1]
	if n := strings.Count(program, "\n"); n > 30 {
		t.Errorf("the relay has %d lines, more than 30", n)
	}
	if formatted, err := format.Source([]byte(program)); string(formatted) != program {
		t.Errorf("the relay is not formatted as by gofmt: %v\n%s", err, formatted)
	}
	for _, b := range blocks[1:] { // statements
		program += "\nfunc _(srv *smtpserver.Server, relay *gateway.Gateway, open func(time.Time) bool) {\n" + b[1] + "}\n"
	}
	source := "package main\n\nimport (\n"
	for name, path := range map[string]string{
		"context": "context", "io": "io", "log": "log", "slog": "log/slog", "netip": "net/netip", "os": "os", "signal": "os/signal",
		"syscall": "syscall", "time": "time", "smtp": "github.com/emersion/go-smtp",
		"policy": module + "policy", "gateway": module + "policy/gateway", "console": module + "policy/gateway/console", "queue": module + "queue", "spool": module + "queue/spool",
		"routing": module + "routing", "smtpserver": module + "smtpserver", "smtpclient": module + "smtpclient",
	} {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(program) {
			source += strconv.Quote(path) + "\n"
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source+")\n\n"+program), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "vet", "./"+dir).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, program)
	}
}

func walk(t *testing.T, folder string, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("../..", folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "testdata" {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, ".go") {
			f(path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func imports(t *testing.T, path string) (paths []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range f.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

// The core of the queue's scheduler is data and functions: it has no store, no
// lock, no goroutine, and no clock but the time that it is given.
func TestTheCoreIsAStateMachine(t *testing.T) {
	may := []string{"container/heap", "slices", "strings", "time",
		"github.com/bridgehead-mail/bridgehead/internal/addr"} // the canonical form of a domain
	clocks := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	files := 0
	walk(t, "queue/internal/sched", func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		files++
		for _, imp := range imports(t, path) {
			if !slices.Contains(may, imp) {
				t.Errorf("%s imports %s", path, imp)
			}
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt:
				t.Errorf("%s has goroutines or channels", path)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, n.Sel.Name) {
					t.Errorf("%s calls time.%s", path, n.Sel.Name)
				}
			}
			return true
		})
	})
	if files < 10 {
		t.Errorf("only %d files seen: is the walk broken?", files)
	}
}
