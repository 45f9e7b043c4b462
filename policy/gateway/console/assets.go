package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// files are the templates, and the assets that a browser loads.
//
//go:embed templates/*.html assets/*
var files embed.FS

// assetTypes are the media types of the assets, by the ends of their names.
var assetTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// serveAsset answers the request for an asset, and reports whether it is one.
// Assets need no access: the login form has the same ones, and they are public.
// The names in pages have a hash of the content, so a browser may keep them.
func serveAsset(x *call) bool {
	name, is := strings.CutPrefix(x.path, "/assets/")
	if !is || x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return false
	}
	body, err := files.ReadFile("assets/" + name)
	media := assetTypes[path.Ext(name)]
	if err != nil || media == "" {
		return false
	}
	h := x.w.Header()
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodGet {
		x.w.Write(body)
	}
	return true
}

// assetPath returns the path of an asset, with a hash of its content.
func assetPath(name string) string {
	body, err := files.ReadFile("assets/" + name)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(body)
	return "/assets/" + name + "?v=" + hex.EncodeToString(sum[:6])
}
