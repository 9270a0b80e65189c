# The few build words of this project. Every target lists its sources by hand.
#
#   troupe_leaf(NAME sources... LINK libs...)      static library troupe_NAME, without CAF
#   troupe_actors(NAME sources... LINK libs...)    static library troupe_NAME, with CAF
#   troupe_program(NAME sources... LINK libs...)   executable NAME in bin/
#   troupe_test(NAME sources... LINK libs... [LABELS l...] [TIMEOUT s])
#                                                  Catch2 suite test.NAME, ctest entry NAME
#   troupe_fuzz(NAME source LINK libs... CORPUS dir)
#                                                  libFuzzer target; without clang, a replay
#   troupe_proto(NAME files.proto... )             static library troupe_NAME of generated code

add_library(troupe_flags INTERFACE)
target_include_directories(troupe_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(troupe_flags INTERFACE -Wall -Wextra -Wconversion -Werror)
target_compile_definitions(troupe_flags INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED
  SPDLOG_FMT_EXTERNAL)

# Sanitizers belong to our code only: a generated protobuf file takes minutes with them.
if(TROUPE_SANITIZE)
  # CAF binds a null reference in init_fun_factory.hpp, hence -fno-sanitize=null.
  target_compile_options(troupe_flags INTERFACE
    -fsanitize=address,undefined -fno-sanitize=null -fno-sanitize-recover=all
    -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=address,undefined)
  # A fuzzer is led by the branches it can see, and most of them are in what it links.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(troupe_flags INTERFACE -fsanitize=fuzzer-no-link)
  endif()
endif()

function(troupe_library_ name)
  cmake_parse_arguments(PARSE_ARGV 1 A "" "" "LINK")
  add_library(troupe_${name} STATIC ${A_UNPARSED_ARGUMENTS})
  target_link_libraries(troupe_${name} PUBLIC troupe_flags ${A_LINK})
endfunction()

function(troupe_leaf name)
  troupe_library_(${name} ${ARGN})
endfunction()

function(troupe_actors name)
  troupe_library_(${name} ${ARGN})
  target_link_libraries(troupe_${name} PUBLIC CAF::core)
endfunction()

function(troupe_program name)
  cmake_parse_arguments(PARSE_ARGV 1 A "" "" "LINK")
  add_executable(${name} ${A_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE troupe_flags ${A_LINK})
endfunction()

function(troupe_test name)
  if(NOT TROUPE_TESTS)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 A "" "TIMEOUT" "LINK;LABELS")
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 60)
  endif()
  add_executable(test.${name} ${A_UNPARSED_ARGUMENTS})
  set_target_properties(test.${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(test.${name} PRIVATE troupe_flags troupe_catch_main ${A_LINK})
  add_test(NAME ${name} COMMAND test.${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "unit;${A_LABELS}"
    SKIP_RETURN_CODE 77)
endfunction()

function(troupe_fuzz name)
  if(NOT TROUPE_TESTS)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 A "" "CORPUS" "LINK")
  add_executable(fuzz.${name} ${A_UNPARSED_ARGUMENTS})
  set_target_properties(fuzz.${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  target_link_libraries(fuzz.${name} PRIVATE troupe_flags ${A_LINK})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(fuzz.${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz.${name} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz.${name} COMMAND fuzz.${name} -runs=0 ${A_CORPUS})
  else()
    target_sources(fuzz.${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/fuzz_replay_main.cpp)
    add_test(NAME fuzz.${name} COMMAND fuzz.${name} ${A_CORPUS})
  endif()
  set_tests_properties(fuzz.${name} PROPERTIES TIMEOUT 60 LABELS "fuzz")
endfunction()

# Generated code is compiled without our warnings and sanitizers, optimised in every build type.
find_library(PROTOBUF_LITE_ARCHIVE libprotobuf-lite.a REQUIRED)
function(troupe_proto name)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${name})
  file(MAKE_DIRECTORY ${out})
  set(sources)
  foreach(file IN LISTS ARGN)
    get_filename_component(stem ${file} NAME_WE)
    get_filename_component(dir ${file} DIRECTORY)
    file(MAKE_DIRECTORY ${out}/${dir})
    if(dir)
      set(stem ${dir}/${stem})
    endif()
    add_custom_command(
      OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
      COMMAND protobuf::protoc --cpp_out=lite:${out} -I ${CMAKE_CURRENT_SOURCE_DIR}
        ${CMAKE_CURRENT_SOURCE_DIR}/${file}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    list(APPEND sources ${out}/${stem}.pb.cc)
  endforeach()
  add_library(troupe_${name} STATIC ${sources})
  target_include_directories(troupe_${name} SYSTEM PUBLIC ${out})
  # A program with the property TROUPE_STATIC (the guest agent) gets the archive.
  set(lite protobuf::libprotobuf-lite)
  target_link_libraries(troupe_${name} PUBLIC
    $<IF:$<BOOL:$<TARGET_PROPERTY:TROUPE_STATIC>>,${PROTOBUF_LITE_ARCHIVE},${lite}>)
  target_include_directories(troupe_${name} SYSTEM PUBLIC ${Protobuf_INCLUDE_DIRS})
  target_compile_options(troupe_${name} PRIVATE -O1 -w)
endfunction()
