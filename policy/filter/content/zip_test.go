package content

import (
	"archive/zip"
	"bytes"
	"testing"
)

func FuzzArchive(f *testing.F) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("a.txt")
	if err != nil {
		f.Fatal(err)
	}
	w.Write([]byte("hello"))
	z.SetComment("PK\x05\x06 is not the end")
	z.Close()
	f.Add(b.Bytes())
	f.Add([]byte("PK\x05\x06" + string(make([]byte, 18))))
	f.Add([]byte("\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xffname\x00"))
	f.Add(append(make([]byte, 257), "ustar\x0000"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := &Attachments{Names: []string{"*.exe"}, Types: []string{"application/x-executable"}}
		l := a.look(t.Context(), nil)
		l.bytes, l.entries = 1<<16, 20
		kind := archiveKind(data[:min(len(data), headLen)], nil, "")
		if kind == "" {
			return
		}
		l.archive(kind, nil, bytes.NewReader(data))
		if l.bytes < 0 {
			t.Fatalf("%d bytes too many were unpacked", -l.bytes)
		}
		if es, err := zipDirectory(data, 20); err == nil && len(es) > 20 {
			t.Fatalf("%d entries", len(es))
		}
	})
}
