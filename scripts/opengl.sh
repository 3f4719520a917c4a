#!/bin/sh
# Drawing without a screen needs EGL and a software renderer, and OpenCV (LIBERO, PushT) needs libGL and GLib:
# install them where that is possible, else name them.
packages="libegl1 libegl-mesa0 libgl1-mesa-dri libgles2 libosmesa6 libgl1 libglib2.0-0"
if [ "$(uname)" != Linux ]; then exit 0; fi
missing=
for library in libEGL.so.1 libGL.so.1 libglib-2.0.so.0; do
  ldconfig -p 2>/dev/null | grep -q "$library" || missing="$missing $library"
done
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "installing OpenGL libraries: $packages"
  if apt-get update -qq >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages >/dev/null 2>&1; then
    exit 0
  fi
fi
echo "Missing:$missing; pictures cannot be drawn. Run: sudo apt-get install $packages" >&2
exit 1
