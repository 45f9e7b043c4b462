package house

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// hidden are modules that must not be part of our API: no exported identifier
// has a type of theirs. miekg/dns v1 will be archived.
var hidden = []string{"github.com/miekg/dns"}

// No exported function, type, field, method or variable of a package that others
// can import has a type of a hidden module.
func TestHiddenModulesAreNotInTheAPI(t *testing.T) {
	exports := exportData(t)
	api := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		file, found := exports[path]
		if !found {
			return nil, fmt.Errorf("no export data for %s", path)
		}
		return os.Open(file)
	})
	checked := 0
	for path := range exports {
		folder, _, _ := strings.Cut(strings.TrimPrefix(path, module), "/")
		if !strings.HasPrefix(path, module) || folder == "internal" || folder == "examples" || strings.Contains(path, "/internal/") {
			continue
		}
		p, err := api.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		w := apiWalk{seen: make(map[types.Type]bool)}
		for _, name := range p.Scope().Names() {
			if o := p.Scope().Lookup(name); o.Exported() {
				w.object(o, p.Path()+"."+name)
			}
		}
		for _, fault := range w.faults {
			t.Error(fault)
		}
		checked++
	}
	if checked < 20 {
		t.Errorf("only %d packages were checked", checked)
	}
}

// The test finds a type of a hidden module wherever it is.
func TestHiddenModulesAreFound(t *testing.T) {
	dns := types.NewPackage(hidden[0], "dns")
	msg := types.NewNamed(types.NewTypeName(token.NoPos, dns, "Msg", nil), types.NewStruct(nil, nil), nil)
	ours := types.NewPackage(module+"x", "x")
	field := func(name string, of types.Type) *types.Var { return types.NewField(token.NoPos, ours, name, of, false) }
	function := func(in types.Type) types.Type {
		return types.NewSignatureType(nil, nil, nil, types.NewTuple(types.NewVar(token.NoPos, ours, "m", in)), nil, false)
	}
	method := types.NewNamed(types.NewTypeName(token.NoPos, ours, "T", nil), types.NewStruct(nil, nil), nil)
	method.AddMethod(types.NewFunc(token.NoPos, ours, "Do", function(msg).(*types.Signature)))
	for name, c := range map[string]struct {
		of   types.Type
		want bool
	}{
		"pointer":          {types.NewPointer(msg), true},
		"slice":            {types.NewSlice(msg), true},
		"map":              {types.NewMap(types.Typ[types.String], msg), true},
		"exported field":   {types.NewStruct([]*types.Var{field("Msg", msg)}, nil), true},
		"unexported field": {types.NewStruct([]*types.Var{field("msg", msg)}, nil), false},
		"function field":   {types.NewStruct([]*types.Var{field("Mangle", function(types.NewPointer(msg)))}, nil), true},
		"method":           {method, true},
		"int":              {types.Typ[types.Int], false},
	} {
		w := apiWalk{seen: make(map[types.Type]bool)}
		w.object(types.NewVar(token.NoPos, ours, "V", c.of), "x.V")
		if (len(w.faults) > 0) != c.want {
			t.Errorf("%s: %v", name, w.faults)
		}
	}
}

// exportData returns the files with the export data of our packages and of
// those that they import.
func exportData(t *testing.T) map[string]string {
	t.Helper()
	for folder := range mayImport { // a cached result is not used after a change of a file that was seen
		walk(t, folder, func(string) {})
	}
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if file != "" {
			files[path] = file
		}
	}
	return files
}

// An apiWalk visits the types that an API consists of.
type apiWalk struct {
	seen   map[types.Type]bool
	faults []string
}

func (w *apiWalk) object(o types.Object, where string) { w.visit(o.Type(), where) }

func (w *apiWalk) visit(t types.Type, where string) {
	t = types.Unalias(t)
	if w.seen[t] {
		return
	}
	w.seen[t] = true
	switch t := t.(type) {
	case *types.Named:
		w.named(t, where)
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() {
				w.visit(f.Type(), where+"."+f.Name())
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			w.visit(m.Type(), where+"."+m.Name())
		}
	case *types.Signature:
		w.visit(t.Params(), where)
		w.visit(t.Results(), where)
	case *types.Tuple:
		for v := range t.Variables() {
			w.visit(v.Type(), where)
		}
	case *types.Map:
		w.visit(t.Key(), where)
		w.visit(t.Elem(), where)
	case interface{ Elem() types.Type }: // pointer, slice, array, channel
		w.visit(t.Elem(), where)
	}
}

func (w *apiWalk) named(t *types.Named, where string) {
	p := t.Obj().Pkg()
	if p == nil {
		return // error
	}
	for _, module := range hidden {
		if p.Path() == module || strings.HasPrefix(p.Path(), module+"/") {
			w.faults = append(w.faults, fmt.Sprintf("%s has the type %v", where, t))
			return
		}
	}
	for arg := range t.TypeArgs().Types() {
		w.visit(arg, where)
	}
	if !strings.HasPrefix(p.Path(), module) {
		return // the API of others
	}
	w.visit(t.Underlying(), where)
	for m := range t.Methods() {
		if m.Exported() {
			w.visit(m.Type(), where+"."+m.Name())
		}
	}
}
